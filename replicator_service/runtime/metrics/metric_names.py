"""The one list of the service's metrics: their names as they are scraped, and what they mean.

Each carries the label ``stream`` besides those that its meaning names.
"""

from __future__ import annotations

from enum import StrEnum

STREAM = "stream"


class Name(StrEnum):
    """Every metric of the service, as it is scraped."""

    BUILD_INFO = "replicator_build_info"
    STATE = "replicator_state"
    LEADER = "replicator_leader"
    SERVER_UP = "replicator_server_up"
    CONVERGING = "replicator_converging"
    LAG = "replicator_lag_seconds"
    OPLOG_HEADROOM = "replicator_oplog_headroom_seconds"
    OPLOG_WHOLE = "replicator_oplog_whole"
    COLLECTIONS = "replicator_collections"
    SNAPSHOT_PROGRESS = "replicator_snapshot_progress"
    SNAPSHOT_DOCUMENTS = "replicator_snapshot_documents"
    DEAD_LETTERS = "replicator_dead_letters"
    SCHEMA_FINDINGS = "replicator_schema_findings"
    RECONCILIATION_DIFFERENCES = "replicator_reconciliation_differences"
    RECONCILIATION_UNEXPLAINED = "replicator_reconciliation_unexplained_differences"
    RECONCILIATION_LAST_SUCCESS = "replicator_reconciliation_last_success_timestamp_seconds"
    MART_AS_OF = "replicator_mart_as_of_timestamp_seconds"
    MART_LOADED = "replicator_mart_loaded_timestamp_seconds"
    MART_LOAD_SECONDS = "replicator_mart_load_seconds"
    MART_ROWS = "replicator_mart_rows"
    EVENTS = "replicator_events_total"
    UNKNOWN_EVENTS = "replicator_unknown_events_total"
    ROWS_APPLIED = "replicator_rows_applied_total"
    DEAD_LETTERS_TOTAL = "replicator_dead_letters_total"
    ALTERED_VALUES = "replicator_altered_values_total"
    COMMITS = "replicator_commits_total"
    BATCH_EVENTS = "replicator_batch_events"
    COMMIT_SECONDS = "replicator_commit_seconds"


HELP = {
    Name.BUILD_INFO: "The version that runs; always 1.",
    Name.STATE: "1 for the present state, 0 for every other.",
    Name.LEADER: "1 while this instance leads, 0 while it stands by or waits for a server.",
    Name.SERVER_UP: "1 while this instance reaches the server (mongodb or postgresql), otherwise 0.",
    Name.CONVERGING: "1 while some rows may be newer than the checkpoint.",
    Name.LAG: "MongoDB's operation time minus the checkpoint's cluster time; NaN while either is unknown.",
    Name.OPLOG_HEADROOM: "History left behind the checkpoint; NaN while unknown, negative when lost.",
    Name.OPLOG_WHOLE: "1 while MongoDB has never discarded history: a short headroom then only says that it is young.",
    Name.COLLECTIONS: "Collections by what is done with them.",
    Name.SNAPSHOT_PROGRESS: "Share of a collection's documents that its snapshot has written; 1 when complete.",
    Name.SNAPSHOT_DOCUMENTS: "Documents that the snapshot of a collection has written, while it is not complete.",
    Name.DEAD_LETTERS: "Dead letters at present.",
    Name.SCHEMA_FINDINGS: "Paths with new_field, misfit or gone (kind): see replicator mapping drift.",
    Name.RECONCILIATION_DIFFERENCES: "Differences that the last reconciliation left; NaN while unknown.",
    Name.RECONCILIATION_UNEXPLAINED: "Those of them that do not wait as dead letters.",
    Name.RECONCILIATION_LAST_SUCCESS: "When both sides were last compared, differences or not; NaN before the first.",
    Name.MART_AS_OF: "The time that a mart shows; none before its first load.",
    Name.MART_LOADED: "When a mart was last loaded.",
    Name.MART_LOAD_SECONDS: "How long the last load of a mart took.",
    Name.MART_ROWS: "Rows of a mart after its last load.",
    Name.EVENTS: "Change events whose commit is durable.",
    Name.UNKNOWN_EVENTS: "Change events of a type that this version does not know.",
    Name.ROWS_APPLIED: "Rows written, child rows and snapshots included.",
    Name.DEAD_LETTERS_TOTAL: "Documents that became dead letters.",
    Name.ALTERED_VALUES: "Values that did not fit their column or that PostgreSQL cannot hold as they are.",
    Name.COMMITS: "Commits.",
    Name.BATCH_EVENTS: "Change events in one commit.",
    Name.COMMIT_SECONDS: "From the first row of a commit to its end.",
}

EVENT_BUCKETS = (1, 10, 100, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000)
SECOND_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
