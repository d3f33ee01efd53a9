"""The point at which a part is compared: a snapshot of PostgreSQL and the cluster time that it shows.

A comparison point exists only where both sides can be compared exactly. What hinders is told: something that passes by
itself (:class:`NotYet`) is waited for, something that an operator has decided (:class:`NeverNow`) is reported.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from replicator_service.core.errors import ConfigurationError, Fatal, ReplicatorError, Retryable
from replicator_service.core.ports import CollectionKind, SourceCollection
from replicator_service.core.position import seconds_of
from replicator_service.core.steps import CollectionState
from replicator_service.sink.control.checkpoint import read_checkpoint
from replicator_service.sink.control.registry import registered
from replicator_service.sink.errors import translated
from replicator_service.sink.overview.stream import lease_holder
from replicator_service.sink.reconcile.reconciliation import dead_letter_keys

if TYPE_CHECKING:
    from replicator_service.core.sessions import Registered
    from replicator_service.reconcile.compared_collection import ComparedCollection
    from replicator_service.reconcile.servers import Servers

_BEGIN = "begin isolation level repeatable read; set local work_mem = '64MB'; set local enable_mergejoin = off"
"""Temporary tables have no statistics: without the hints, the planner sorts what it should hash."""

_START_IT = "Start the service and let it catch up: 'replicator run'."
_LEAST_HISTORY_SECONDS = 5


class NotYet(Retryable):
    """The two sides cannot be compared exactly now; it passes by itself while the service runs."""


class NeverNow(ReplicatorError):
    """This collection is not compared, and why."""


@dataclass(frozen=True, slots=True)
class ComparisonPoint:
    """``found`` is the collection at the source at the time ``present``, ``dead_letters`` the keys of its dead letters.

    ``is_dropped``: the stream has seen the collection go, so its tables must be empty.
    """

    cluster_time: int
    present: int
    found: SourceCollection | None
    dead_letters: frozenset[str]
    is_dropped: bool

    @property
    def uuid(self) -> bytes | None:
        """The identity of the collection, if it exists."""
        return None if self.found is None else self.found.uuid

    def require_source(self) -> None:
        """Make sure that MongoDB can tell what the collection was at this point.

        Raises :class:`NotYet` for a collection that does not exist now and may have existed then.
        """
        if self.found is None and not self.is_dropped and self.cluster_time < self.present:
            raise NotYet("the collection does not exist in MongoDB, and the stream is not as far", hint=_START_IT)


def open_comparison_point(servers: Servers, compared: ComparedCollection) -> ComparisonPoint:
    """Begin a ``repeatable read`` transaction on ``read`` and say what it shows.

    Raises :class:`NotYet`, :class:`NeverNow` or :class:`ConfigurationError`; no transaction is open then.
    """
    present = servers.source.operation_time()
    found = servers.source.collection(compared.collection)
    try:
        with translated():
            servers.read.execute(_BEGIN)
        point = _comparison_point(servers, compared, found, present)
    except BaseException:
        close_comparison_point(servers)
        raise
    return point


def close_comparison_point(servers: Servers) -> None:
    """End the transaction, if one is open. Nothing was written in it but temporary tables."""
    if not servers.read.closed:
        with translated():
            servers.read.execute("rollback")


def _comparison_point(
    servers: Servers, compared: ComparedCollection, found: SourceCollection | None, present: int
) -> ComparisonPoint:
    checkpoint = read_checkpoint(servers.read, servers.stream)
    if checkpoint is None or checkpoint.position is None:
        raise ConfigurationError(f"the stream {servers.stream} has no position yet", hint=_START_IT)
    at = checkpoint.position.cluster_time
    if checkpoint.converging_until is not None and checkpoint.converging_until > at:
        raise NotYet("the tables are converging: some rows may be newer than the checkpoint", hint=_START_IT)
    known = next(iter(registered(servers.read, servers.stream, compared.collection)), None)
    state = CollectionState.STREAMING if known is None else known.state
    if state is CollectionState.PAUSED:
        raise NeverNow(f"paused: 'replicator resume {compared.collection}' reads it again")
    if state is CollectionState.SNAPSHOTTING:
        raise NotYet(f"the snapshot of {compared.collection} is not complete", hint=_START_IT)
    is_dropped = state is CollectionState.DROPPED
    if not is_dropped:
        _require_comparable(compared, known, found)
    dead_letters = dead_letter_keys(servers.read, servers.stream, compared.collection)
    return ComparisonPoint(at, present, found, dead_letters, is_dropped)


def _require_comparable(compared: ComparedCollection, known: Registered | None, found: SourceCollection | None) -> None:
    if known is not None and not compared.is_written_as(known):
        raise ConfigurationError(
            f"{compared.collection} was written under another mapping than the one given now",
            hint="Give the mapping that the service runs with (REPLICATOR_MAPPING), or restart the service: it reads "
            "the collection again under the new one.",
        )
    if found is not None and found.kind is CollectionKind.CAPPED:
        raise NeverNow("capped: MongoDB keeps no history of it that could be compared with")
    if found is not None and not found.is_streamed:
        raise NeverNow(f"a {found.kind.value} has no change stream")


def require_unchanged(servers: Servers, compared: ComparedCollection, point: ComparisonPoint) -> None:
    """Make sure that what was read was this collection.

    MongoDB 6.0 reads a collection that was dropped or renamed since as empty, without an error. Raises
    :class:`NotYet` when the catalog has changed.
    """
    if point.is_dropped:
        return
    found = servers.source.collection(compared.collection)
    before = None if point.found is None else point.found.uuid
    if (None if found is None else found.uuid) != before:
        raise NotYet(f"{compared.collection} was dropped, renamed or created meanwhile", hint=_START_IT)


def is_led(servers: Servers) -> bool:
    """Whether a service leads the stream, so that waiting helps."""
    return lease_holder(servers.write, servers.stream) is not None


def explain_unreadable(servers: Servers, cluster_time: int) -> ReplicatorError:
    """Why MongoDB could not read at this cluster time, as far as it can be known."""
    history = servers.source.history_seconds()
    age = seconds_of(servers.source.operation_time()) - seconds_of(cluster_time)
    if history is not None and history < _LEAST_HISTORY_SECONDS:
        return ConfigurationError(
            f"MongoDB keeps no snapshot history (minSnapshotHistoryWindowInSeconds is {history}): the past cannot be "
            "read, so nothing can be compared exactly",
            hint="On every member: db.adminCommand({setParameter: 1, minSnapshotHistoryWindowInSeconds: 300}), and in "
            "its configuration.",
        )
    if age >= (300 if history is None else history):
        return Fatal(
            f"the comparison point is {age} seconds ago, further back than MongoDB's snapshot history"
            + ("" if history is None else f" ({history} seconds)"),
            hint=f"If the service is stopped or behind: {_START_IT} If the part takes so long to read: cut "
            "collections into smaller parts, or raise minSnapshotHistoryWindowInSeconds.",
        )
    return NotYet(
        "MongoDB cannot read at the checkpoint's time: the catalog has changed since, or it keeps no snapshot history",
        hint=f"{_START_IT} Check minSnapshotHistoryWindowInSeconds on the server.",
    )
