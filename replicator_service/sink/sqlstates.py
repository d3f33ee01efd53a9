"""What each SQLSTATE means for us: who acts, why, and what to do (appendix A of PostgreSQL's manual).

By code, never by class: a class holds what passes by itself beside what repeats for ever. A code that is not here is
for a person, who sees PostgreSQL's own message.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto


class Acts(Enum):
    """Who makes it right."""

    RETRY = auto()
    """Nobody, or somebody at the server: the service tries again until it works."""
    ROW = auto()
    """The owner of what refuses this row: the document becomes a dead letter, the others are written."""
    PERSON = auto()
    """Somebody with this service or its database: trying again would fail again."""
    TABLE = auto()
    """The next start of a term, which makes the table whole and reads the collection again."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """Who acts, the cause as a sentence, and what to do.

    ``{table}``, ``{role}`` and ``{database}`` stand for names, quoted as a statement needs them.
    """

    acts: Acts
    cause: str
    hint: str


_AGAIN = "The service tries again by itself."
_CORRUPT = "Look at PostgreSQL's log; restore from a backup what cannot be read. Check the disk and its file system."
_POOLER = "Connect to PostgreSQL itself, or to the pooler's session mode."
_REFUSES = "Remove what refuses it (a constraint, a trigger, an index), then: replicator dead-letters retry"


def _retry(cause: str, hint: str = _AGAIN) -> Meaning:
    return Meaning(Acts.RETRY, cause, hint)


def _person(cause: str, hint: str) -> Meaning:
    return Meaning(Acts.PERSON, cause, hint)


_ROW = Meaning(Acts.ROW, "PostgreSQL refuses the row", _REFUSES)
_TABLE = Meaning(
    Acts.TABLE,
    "a replicated table is not what it was",
    "Nothing to do: what is missing is made again, and the collection read again.",
)
_LOST = _retry("the connection to PostgreSQL was lost", "Nothing to do when it comes back by itself.")
_BUSY = _retry("PostgreSQL took other transactions before this one")

MEANINGS: dict[str, Meaning] = {
    # Connections.
    **dict.fromkeys(("08000", "08003", "08006", "08007"), _LOST),
    "08001": _retry("PostgreSQL cannot be reached", "Check that it runs, and REPLICATOR_POSTGRES_DSN."),
    "08004": _retry("PostgreSQL rejects the connection", "Look at its log, or at that of the pooler in between."),
    "08P01": _retry(
        "what answers in PostgreSQL's place has ended the connection",
        "Look at the log of the pooler in between: it has no server, or a limit of its own.",
    ),
    # What cannot be written to.
    "25006": _retry(
        "PostgreSQL is read-only here: a standby, or set so for this user or database",
        "Address the primary, with target_session_attrs=read-write; or set default_transaction_read_only to off.",
    ),
    "25P03": _retry(
        "PostgreSQL ended a transaction that waited (idle_in_transaction_session_timeout)",
        "The service's own sessions have no such limit: look for what sets it later, as a pooler does.",
    ),
    "25P04": _person(
        "PostgreSQL ended a transaction that took longer than transaction_timeout",
        "The service's own sessions have no such limit: remove what sets it later (a trigger, a pooler).",
    ),
    # Other transactions.
    "40001": _BUSY,
    "40P01": _BUSY,
    "40003": _LOST,
    "72000": _BUSY,
    # Resources.
    "53000": _retry("PostgreSQL lacks a resource", "Look at its log. " + _AGAIN),
    "53100": _retry("PostgreSQL's disk is full", "Free space on it: the service continues by itself."),
    "53200": _retry(
        "PostgreSQL is out of memory",
        "If its message says shared memory: raise max_locks_per_transaction. Otherwise the service continues by itself "
        "when there is some again.",
    ),
    "53300": _retry(
        "PostgreSQL has no connection left",
        "Raise max_connections, or the connection limit of the user or database; or close what is idle.",
    ),
    "53400": _person(
        "a statement needs more than PostgreSQL's configuration allows",
        "If its message says temp_file_limit: alter role {role} set temp_file_limit = -1",
    ),
    # Objects in use, or not ready.
    "55000": _person(
        "PostgreSQL cannot do this with the table as it is",
        "replicator check names what is different. If the message says replica identity, a publication holds {table}, "
        "which has lost its primary key: start the service again, which adds it.",
    ),
    "55006": _retry("somebody uses what has to be changed"),
    "55P03": _retry("PostgreSQL did not get a lock in time"),
    # What somebody at the server does.
    "57014": _retry(
        "a statement was cancelled, by somebody or by a limit of time",
        "If it comes again: find who calls pg_cancel_backend, or what sets statement_timeout after our session began "
        "(a trigger, a pooler).",
    ),
    "57000": _retry("somebody has intervened at PostgreSQL"),
    "57P01": _retry("PostgreSQL shuts down, or somebody has ended our session"),
    "57P02": _retry("PostgreSQL recovers from a crash of one of its processes"),
    "57P03": _retry("PostgreSQL is starting or shutting down"),
    "57P04": _retry("the database was dropped", "Create it again, or correct REPLICATOR_POSTGRES_DSN."),
    "57P05": _retry(
        "PostgreSQL ended a session that was idle (idle_session_timeout)",
        "The service's own sessions have no such limit: look for what sets it later, as a pooler does.",
    ),
    # The system under PostgreSQL.
    "58000": _retry("the system under PostgreSQL fails", "Look at PostgreSQL's log and its disk. " + _AGAIN),
    "58030": _retry("PostgreSQL cannot read or write its files", "Look at its log and its disk. " + _AGAIN),
    "58P01": _person("PostgreSQL misses one of its files", _CORRUPT),
    "58P02": _person("PostgreSQL has a file twice", _CORRUPT),
    "XX001": _person("PostgreSQL's data are damaged", _CORRUPT),
    "XX002": _person("an index of PostgreSQL is damaged", "reindex table {table}"),
    # Who we are, and what we may do.
    "28000": _person("PostgreSQL refuses the user", "Check REPLICATOR_POSTGRES_DSN and the server's pg_hba.conf."),
    "28P01": _person("PostgreSQL refuses the user name or password", "Check REPLICATOR_POSTGRES_DSN."),
    "3D000": _person("the database does not exist", "Create it, or correct REPLICATOR_POSTGRES_DSN."),
    "42501": _person(
        "the PostgreSQL user lacks a privilege",
        "grant select, insert, update, delete on {table} to {role}",
    ),
    # What was made otherwise than we left it.
    **dict.fromkeys(("3F000", "42P01", "42703", "42P10", "42804", "42809", "428C9"), _TABLE),
    "2BP01": _person(
        "something depends on what has to be dropped",
        "Drop what depends on the table (a view, a foreign key), start again, and create it anew afterwards.",
    ),
    **dict.fromkeys(
        ("42701", "42710", "42P06", "42P07"),
        _person("something of this name is there already", "Rename it, or drop it if nobody needs it."),
    ),
    "0A000": _person(
        "PostgreSQL does not do this with the table as it is",
        "Remove what others have hung on {table} (a rule, a policy): replicator check names it.",
    ),
    # A session that others use.
    **dict.fromkeys(
        ("26000", "42P05"), _person("prepared statements are not ours alone: a pooler shares server sessions", _POOLER)
    ),
    # Rows: values that a column cannot hold, and what constraints and triggers refuse.
    **dict.fromkeys(
        (
            *("22000", "22001", "22002", "22003", "22004", "22005", "22007", "22008", "22009", "2200B", "2200C"),
            *("2200D", "2200F", "2200G", "2200H", "2200L", "2200M", "2200N", "2200S", "2200T", "22010", "22011"),
            *("22012", "22013", "22014", "22015", "22016", "22018", "22019", "2201B", "2201E", "2201F", "2201G"),
            *("2201W", "2201X", "2202E", "2202G", "2202H", "22021", "22022", "22023", "22024", "22025", "22026"),
            *("22027", "22030", "22031", "22032", "22033", "22034", "22035", "22036", "22037", "22038", "22039"),
            *("2203A", "2203B", "2203C", "2203D", "2203E", "2203F", "2203G", "22P01", "22P02", "22P03", "22P04"),
            *("22P05", "22P06"),
            *("23000", "23001", "23502", "23503", "23505", "23514", "23P01", "40002", "44000"),
            *("54000", "54001"),
            *("09000", "20000", "27000", "P0000", "P0001", "P0002", "P0003", "P0004"),
            *("2F000", "2F002", "2F003", "2F004", "2F005", "38000", "38001", "38002", "38003", "38004"),
            *("39000", "39001", "39004", "39P01", "39P02", "39P03"),
        ),
        _ROW,
    ),
}

QUOTES_VALUES = frozenset({"20", "22", "09", "27", "2F", "38", "39", "P0"})
"""Classes whose primary message may quote a value, or is written by a trigger."""

BY_FUNCTION: dict[tuple[str, str], Meaning] = {
    ("42501", "check_enable_rls"): _person(
        "row security would hide rows of a replicated table", "alter table {table} no force row level security"
    ),
    # "ON CONFLICT does not support deferrable unique constraints": the key was made anew by hand.
    ("55000", "ExecCheckIndexConstraints"): _TABLE,
    ("0A000", "RevalidateCachedQuery"): _retry("a table was changed while statements on it were prepared"),
    **dict.fromkeys(
        (("54000", "GetNewTransactionId"), ("54000", "GetNewMultiXactId")),
        _retry(
            "PostgreSQL has no transaction ids left and takes no writes",
            "Let a superuser run vacuum in this database, and end old transactions, prepared ones and replication "
            "slots: see 'Preventing Transaction ID Wraparound Failures' in PostgreSQL's manual.",
        ),
    ),
}
"""Where one code means two things: the function of the server that reported it tells which (``diag.source_function``).

A name that a later version changes leaves the meaning of the code alone, so this only ever makes a message better.
"""

UNKNOWN = _person(
    "PostgreSQL refused a statement",
    "Look at PostgreSQL's log; 'replicator check' shows what is different from what the service has made.",
)
IN_A_FUNCTION = Meaning(
    Acts.ROW,
    "a function of others, called for the row, has failed",
    "Repair or drop the trigger, then: replicator dead-letters retry --all",
)
