"""What a session of ours is told at its start, whatever the role or the database sets.

``alter role ... set`` and ``alter database ... set`` reach every session, and some of them change what a value is when
it is read or written, which rows a statement sees, or how long it may take. So every setting that a user may change is
decided here: set, with the reason, or left to whoever runs the server, with the reason. A test compares both lists with
``pg_settings`` of each major version, so that a new setting is decided on too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of PostgreSQL, the value that we rely on, and why.

    ``since`` and ``until`` bound the server versions that have it, as ``server_version_num`` counts them.
    """

    name: str
    value: str
    why: str
    since: int = 0
    until: int = 9_999_999


SETTINGS = (
    # How long something may take: a snapshot's commit, a wait for an analyst's lock and a quiet night are all right.
    Setting("statement_timeout", "0", "a large commit takes as long as it takes"),
    Setting("transaction_timeout", "0", "so does its transaction", since=170_000),
    Setting("lock_timeout", "0", "an analyst's lock is waited for"),
    Setting("idle_in_transaction_session_timeout", "0", "a transaction waits for MongoDB's documents"),
    Setting("idle_session_timeout", "0", "a stream without changes keeps its session, and with it the lease"),
    Setting("vacuum_cost_delay", "0", "it slows our own analyze down"),
    # Which names mean what: nothing of anybody else's may stand before the catalog (pg_temp is searched first unless
    # it is named). The server's own apply workers of logical replication have an empty path for the same reason.
    Setting("restrict_nonsystem_relation_kind", "", "a foreign table may be read", since=150_008, until=159_999),
    Setting("restrict_nonsystem_relation_kind", "", "a foreign table may be read", since=160_004),
    # How values are read.
    Setting("client_encoding", "utf8", "COPY and parameters are UTF-8"),
    Setting("standard_conforming_strings", "on", "a backslash in a literal is a backslash"),
    Setting("backslash_quote", "safe_encoding", "the server's default"),
    Setting("escape_string_warning", "off", "no notice for each literal with a backslash"),
    Setting("array_nulls", "on", "NULL in an array is null, not the text NULL"),
    Setting("transform_null_equals", "off", "= NULL is null"),
    Setting("datestyle", "ISO, YMD", "dates are read and written as ISO 8601"),
    Setting("intervalstyle", "iso_8601", "so are intervals"),
    Setting("timezone", "UTC", "a time without a zone is UTC, and times are written in UTC"),
    Setting("timezone_abbreviations", "Default", "an abbreviation means what the manual says"),
    Setting("xmloption", "content", "the server's default, for columns that others have added"),
    # How values are written, and so compared.
    Setting("extra_float_digits", "1", "a double is written with all its digits"),
    Setting("bytea_output", "hex", "bytes are written as the driver reads them"),
    Setting("xmlbinary", "base64", "the server's default"),
    Setting("quote_all_identifiers", "off", "names of types are written plainly"),
    # Which rows a statement sees.
    Setting("row_security", "off", "a policy that hides rows is an error, never a silent difference"),
    Setting("gin_fuzzy_search_limit", "0", "an index gives all rows, not a sample of them"),
    Setting("default_transaction_isolation", "read committed", "the writer sees what was committed before"),
    Setting("default_transaction_deferrable", "off", "no transaction waits for a safe snapshot"),
    Setting("stats_fetch_consistency", "cache", "the server's default: a look is not older than its transaction"),
    # What ends a session or floods it.
    Setting("exit_on_error", "off", "a row that is refused must not end the session"),
    Setting("client_min_messages", "warning", "notices are read by nobody"),
    Setting("log_parameter_max_length_on_error", "0", "values of documents stay out of the server's log"),
    Setting("debug_print_parse", "off", "so do they here"),
    Setting("debug_print_rewritten", "off", "so do they here"),
    Setting("debug_print_plan", "off", "so do they here"),
    # How rows are found: a merge that may not use the primary key reads the whole table for each commit.
    Setting("enable_indexscan", "on", "keys are looked up in the primary key"),
    Setting("enable_indexonlyscan", "on", "keys are looked up in the primary key"),
    Setting("enable_bitmapscan", "on", "keys are looked up in the primary key"),
    Setting("enable_nestloop", "on", "keys are looked up in the primary key"),
    Setting("enable_hashjoin", "on", "keys of a whole collection are hashed"),
    Setting("enable_hashagg", "on", "keys of a whole collection are hashed"),
    Setting("enable_mergejoin", "on", "the server's default"),
    Setting("enable_seqscan", "on", "the server's default"),
    Setting("enable_sort", "on", "the server's default"),
    Setting("enable_material", "on", "the server's default"),
    Setting("enable_memoize", "on", "the server's default"),
    Setting("enable_partition_pruning", "on", "a partition that holds no such key is not read"),
    Setting("plan_cache_mode", "auto", "a plan knows how many keys it is for"),
    Setting("jit", "off", "compiling costs more than these statements"),
    Setting("force_parallel_mode", "off", "a developer's option", until=159_999),
    Setting("debug_parallel_query", "off", "a developer's option", since=160_000),
    Setting("check_function_bodies", "on", "the server's default, for migrations"),
    # The server notices a leader that is gone within seconds and frees its lease.
    Setting("tcp_keepalives_idle", "5", "a dead client frees its lease"),
    Setting("tcp_keepalives_interval", "2", "a dead client frees its lease"),
    Setting("tcp_keepalives_count", "3", "a dead client frees its lease"),
    Setting("tcp_user_timeout", "15000", "a dead client frees its lease"),
    Setting("client_connection_check_interval", "0", "the server's default: a dead peer is noticed as above"),
)

LEFT: Mapping[str, str] = {
    "default_transaction_read_only": "somebody wants nothing to be written: said, and waited for",
    "synchronous_commit": "set for each connection by what it commits",
    "application_name": "set for each connection by what it is for",
    **dict.fromkeys(
        ("transaction_deferrable", "transaction_isolation", "transaction_read_only"),
        "of one transaction; its default is decided above",
    ),
    **dict.fromkeys(
        (
            "backend_flush_after",
            "commit_siblings",
            "default_statistics_target",
            "default_table_access_method",
            "default_tablespace",
            "default_toast_compression",
            "effective_cache_size",
            "effective_io_concurrency",
            "file_copy_method",
            "gin_pending_list_limit",
            "hash_mem_multiplier",
            "io_combine_limit",
            "io_max_combine_limit",
            "logical_decoding_work_mem",
            "maintenance_io_concurrency",
            "maintenance_work_mem",
            "max_parallel_maintenance_workers",
            "max_parallel_workers",
            "max_parallel_workers_per_gather",
            "temp_buffers",
            "temp_tablespaces",
            "wal_skip_threshold",
            "work_mem",
        ),
        "memory, disks and workers belong to whoever runs the server",
    ),
    **dict.fromkeys(
        (
            "constraint_exclusion",
            "cpu_index_tuple_cost",
            "cpu_operator_cost",
            "cpu_tuple_cost",
            "cursor_tuple_fraction",
            "enable_async_append",
            "enable_distinct_reordering",
            "enable_eager_aggregate",
            "enable_gathermerge",
            "enable_group_by_reordering",
            "enable_incremental_sort",
            "enable_parallel_append",
            "enable_parallel_hash",
            "enable_partitionwise_aggregate",
            "enable_partitionwise_join",
            "enable_presorted_aggregate",
            "enable_self_join_elimination",
            "enable_tidscan",
            "from_collapse_limit",
            "geqo",
            "geqo_effort",
            "geqo_generations",
            "geqo_pool_size",
            "geqo_seed",
            "geqo_selection_bias",
            "geqo_threshold",
            "jit_above_cost",
            "jit_expressions",
            "jit_inline_above_cost",
            "jit_optimize_above_cost",
            "jit_tuple_deforming",
            "join_collapse_limit",
            "min_parallel_index_scan_size",
            "min_parallel_table_scan_size",
            "parallel_leader_participation",
            "parallel_setup_cost",
            "parallel_tuple_cost",
            "random_page_cost",
            "recursive_worktable_factor",
            "seq_page_cost",
            "synchronize_seqscans",
        ),
        "the planner's costs: they change no result",
    ),
    **dict.fromkeys(
        (
            "createrole_self_grant",
            "debug_logical_replication_streaming",
            "debug_pretty_print",
            "default_text_search_config",
            "icu_validation_level",
            "lc_monetary",
            "lc_numeric",
            "lc_time",
            "local_preload_libraries",
            "md5_password_warnings",
            "password_encryption",
            "scram_iterations",
            "trace_notify",
            "trace_sort",
            "vacuum_buffer_usage_limit",
            "vacuum_cost_limit",
            "vacuum_cost_page_dirty",
            "vacuum_cost_page_hit",
            "vacuum_cost_page_miss",
            "vacuum_failsafe_age",
            "vacuum_freeze_min_age",
            "vacuum_freeze_table_age",
            "vacuum_max_eager_freeze_failure_rate",
            "vacuum_multixact_failsafe_age",
            "vacuum_multixact_freeze_min_age",
            "vacuum_multixact_freeze_table_age",
            "vacuum_truncate",
            "wal_sender_timeout",
        ),
        "nothing that we send depends on it",
    ),
}
"""Settings that a user may change and that keep what the role, the database or the server says, each with the reason.

Those of superusers (``session_replication_role``, ``temp_file_limit``, ...) are the administrator's in any case.
"""


def session_settings(server_version: int, others: Mapping[str, str] | None = None) -> sql.Composed:
    """One text of statements for a server of this version; ``others`` are added or replace ours.

    They name no function but by its schema, and no operator: a search path that leads elsewhere cannot change them.
    """
    values = {each.name: each.value for each in SETTINGS if each.since <= server_version <= each.until}
    values |= others or {}
    form = sql.SQL("set {} = {}")
    assigned = [form.format(sql.Identifier(name), sql.Literal(value)) for name, value in values.items()]
    return sql.SQL("; ").join([*assigned, sql.SQL(_SEARCH_PATH)])


_SEARCH_PATH = """
select pg_catalog.set_config(
    'search_path', pg_catalog.concat('pg_catalog, ', pg_catalog.current_setting('search_path'), ', pg_temp'), false
)
"""
"""The server's own names come first, whatever the role says, and temporary ones last. The rest of the path stays:
functions of others' triggers, which run in our session, find what they name without a schema."""
