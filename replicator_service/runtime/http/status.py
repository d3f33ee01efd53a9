"""The JSON of ``/status``: a contract, read by the page, by ``replicator status`` and by other programs.

:data:`FIELDS` is the one list of its fields: what is served and what the reference says are made from it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from dataclasses import field as default
from typing import TYPE_CHECKING, Any

from replicator_service.core.errors import Server
from replicator_service.runtime.http import values
from replicator_service.runtime.judgement.guarantee import guarantee, meaning
from replicator_service.runtime.judgement.notices import notices

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from replicator_service.runtime.judgement.service_view import ServiceView

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class About:
    """What the settings and the mapping say of the surroundings: nothing of it changes while the service runs."""

    runbooks: str | None = None
    airflow: str | None = None
    child_tables: Mapping[str, Sequence[str]] = default(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StatusInputs:
    """Everything that an answer is made of; ``at`` is the wall time of it."""

    service: ServiceView
    at: datetime
    max_lag_seconds: float
    version: str
    compiled: str
    events: int
    rows: int
    about: About


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its name, what it means (for the reference), and its value. Unknown numbers are None, never 0."""

    name: str
    meaning: str
    of: Callable[[StatusInputs], Any]


def _role(inputs: StatusInputs) -> str:
    return inputs.service.report.role.value


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


FIELDS = (
    Field("state", "One of the states above.", lambda inputs: inputs.service.state.value),
    Field(
        "meaning",
        "The state in a sentence, with what is known to be otherwise.",
        lambda inputs: meaning(inputs.service),
    ),
    Field(
        "guarantee",
        "What is promised of the rows: `exact` (MongoDB as it was at the checkpoint), or `exact, except ...` with "
        "everything that is known not to be: what this server cannot do, refused documents, collections that are "
        "paused, still read or cannot be read, differences that remain.",
        lambda inputs: guarantee(inputs.service),
    ),
    Field("role", "`leader` while this instance holds the lease, otherwise `standby`.", _role),
    Field(
        "waiting",
        "While the state is `waiting`: for which `server`, `since` when, and the `reason`; otherwise null.",
        lambda inputs: values.waiting(inputs.service, inputs.at),
    ),
    Field("stream", "The MongoDB database.", lambda inputs: inputs.service.report.stream),
    Field("cluster_time", "The checkpoint: `seconds * 2^32 + increment`.", lambda inputs: inputs.service.cluster_time),
    Field("cluster_wall_time", "The same as a time.", lambda inputs: values.wall(inputs.service.cluster_time)),
    Field(
        "lag_seconds",
        "For how long MongoDB has had something that PostgreSQL has not; 0 when there is nothing, and growing while "
        "nothing can move.",
        lambda inputs: _rounded(inputs.service.lag_seconds),
    ),
    Field(
        "converging", "Whether some rows may be newer than the checkpoint.", lambda inputs: inputs.service.is_converging
    ),
    Field(
        "oplog_headroom_seconds",
        "History left behind the checkpoint; negative when it is lost.",
        lambda inputs: inputs.service.oplog_headroom_seconds,
    ),
    Field("compiled", "Which path makes the rows, compiled code or Python, and why.", lambda inputs: inputs.compiled),
    Field(
        "abilities",
        "What MongoDB was found to be able to do, by trying: `available` (null where that could not be told), what the "
        "server said (`detail`), and what follows `without`. See [the names](abilities.md). Null until it was asked.",
        lambda inputs: values.abilities(inputs.service.report.abilities),
    ),
    Field(
        "reading",
        "Where documents and changes are read: from this `member`, or from the primary (null). `fallbacks` counts how "
        "often the primary had to be read where `spares_primary` asks for a secondary, and `reason` is the last one.",
        lambda inputs: values.reading(inputs.service.report),
    ),
    Field("oplog_is_whole", "Whether MongoDB has never discarded any.", lambda inputs: inputs.service.oplog_is_whole),
    Field("dead_letters", "How many documents wait as dead letters.", lambda inputs: inputs.service.dead_letters),
    Field(
        "dead_letter_reasons",
        "Why, the most frequent reason first.",
        lambda inputs: values.dead_letter_reasons(inputs.service.database),
    ),
    Field(
        "schema_finding_paths",
        "How many paths there are of each kind of finding.",
        lambda inputs: values.schema_finding_paths(inputs.service.database),
    ),
    Field(
        "schema_findings",
        "What documents and mapping do not have in common, never a value: `kind` is `misfit` (a value that its column "
        "does not hold), `gone` (a column without a value in any row) or `new_field` (in no column). The 50 that "
        "matter most.",
        lambda inputs: values.schema_findings(inputs.service.database),
    ),
    Field(
        "collections",
        "By name. While nothing moves, `state` is the stream's (`waiting`, `paused`, ...); `waiting` also while this "
        "one cannot be read (see its `error`), or nobody leads; `rows` is "
        "PostgreSQL's estimate, `snapshot_progress` a share from 0 to 1, `snapshot_ranges_left` of the "
        "`snapshot_ranges` are still read; `last_change` and `events_per_second` are what this process has seen.",
        lambda inputs: values.moving(inputs.service),
    ),
    Field(
        "snapshot_pace",
        "What `replicator snapshot pace` has said: so many `workers`, `max_mb_s` megabytes a second (0: no limit); "
        "null is what the settings say.",
        lambda inputs: values.snapshot_pace(inputs.service.database),
    ),
    Field(
        "indexes",
        "Indexes of the mapping that are not there yet: `state` is `waiting` (for the end of a snapshot, or for "
        "another index), `building` or `failed` (see its `error`; it is tried again every minute).",
        lambda inputs: values.indexes(inputs.service.database),
    ),
    Field(
        "unsupported_collections",
        "What MongoDB has no change events for, by name with its kind.",
        lambda inputs: dict(inputs.service.source.unsupported) if inputs.service.source else {},
    ),
    Field(
        "last_reconciliation",
        "The last comparison of each collection, put together: `at` is the oldest, `compared` of the `collections` "
        "were compared. `differences` were found, some `repaired`, others still `outstanding`.",
        lambda inputs: values.last_reconciliation(inputs.service.database),
    ),
    Field(
        "reconciliation_attempt",
        "A comparison that began later and runs, or has failed.",
        lambda inputs: values.reconciliation_attempt(inputs.service.database),
    ),
    Field("marts", "The last load of each that was published.", lambda inputs: values.marts(inputs.service.database)),
    Field(
        "error",
        "The last error that has not been overcome, or null.",
        lambda inputs: None if inputs.service.error is None else values.error(inputs.service.error),
    ),
    Field(
        "last_failure",
        "Why the service ended last (`cause`, `hint`, `at`, `instance`), as long as nothing was replicated after it.",
        lambda inputs: values.last_failure(inputs.service.database),
    ),
    Field(
        "notices",
        "What a person should know, the most severe first, each with what to do.",
        lambda inputs: [
            asdict(each) | {"severity": each.severity.value}
            for each in notices(inputs.service, at=inputs.at, max_lag_seconds=inputs.max_lag_seconds)
        ],
    ),
    Field(
        "servers",
        "When each was last seen.",
        lambda inputs: {
            Server.MONGODB.value: values.server(inputs.service.source_seen, inputs.service.now),
            Server.POSTGRESQL.value: values.server(inputs.service.database_seen, inputs.service.now),
        },
    ),
    Field("leader", "The session that holds the lease.", lambda inputs: values.leader(inputs.service.database)),
    Field(
        "webhook",
        "Messages that were `sent`, given up (`failed`) or `dropped` since too many waited, the requests that failed "
        "(`tries`), and why the latest message does not arrive (`problem`). Null without `REPLICATOR_WEBHOOK_URL`.",
        lambda inputs: values.webhook(inputs.service.report),
    ),
    Field(
        "child_tables",
        "The tables of arrays by collection, as the mapping says.",
        lambda inputs: {name: list(tables) for name, tables in inputs.about.child_tables.items()},
    ),
    Field(
        "links",
        "Where people read on: `runbooks` and `airflow`, null where no setting says.",
        lambda inputs: {"runbooks": inputs.about.runbooks, "airflow": inputs.about.airflow},
    ),
    Field("events_total", "Change events that this process has made durable.", lambda inputs: inputs.events),
    Field("rows_applied_total", "Rows that it has written.", lambda inputs: inputs.rows),
    Field("version", "The release of this instance.", lambda inputs: inputs.version),
    Field("time", "When this was told.", lambda inputs: values.utc(inputs.at)),
)


def status(
    service: ServiceView,
    *,
    at: datetime,
    max_lag_seconds: float,
    version: str = "",
    compiled: str = "",
    events: int = 0,
    rows: int = 0,
    about: About | None = None,
) -> Json:
    """Everything that is known at the wall time ``at``, see :data:`FIELDS`."""
    inputs = StatusInputs(service, at, max_lag_seconds, version, compiled, events, rows, about or About())
    return {field.name: field.of(inputs) for field in FIELDS}
