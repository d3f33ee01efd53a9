"""What PostgreSQL tells of a stream, and MongoDB of itself: plain values that a monitor collects and others show."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from replicator_service.core.steps import CollectionState

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from replicator_service.core.reconciliation import DifferenceKind
    from replicator_service.core.schema_findings import FindingKind, SchemaFinding
    from replicator_service.core.sessions import Pace


@dataclass(frozen=True, slots=True)
class CollectionView:
    """One collection.

    ``rows`` is the server's estimate for its main table; ``documents`` counts those that the latest snapshot has
    written, of ``expected``.
    """

    name: str
    table: str
    state: CollectionState
    rows: int
    documents: int | None
    expected: int | None
    dead_letters: int

    @property
    def snapshot_progress(self) -> float | None:
        """From 0 to 1, and 1 only when the snapshot is complete; None while nothing is known to compare with."""
        if self.state is not CollectionState.SNAPSHOTTING:
            return 1.0
        if self.documents is None or not self.expected:
            return None
        return min(self.documents / self.expected, 0.999)


@dataclass(frozen=True, slots=True)
class SnapshotView:
    """A snapshot under way: how many ranges it has, how many are left, how many bytes of documents were read."""

    ranges: int
    ranges_left: int
    bytes: int


@dataclass(frozen=True, slots=True)
class IndexView:
    """An index of the mapping that is not there yet: ``waiting`` (its table is filled), ``building`` or ``failed``.

    ``progress`` is the share of the step that PostgreSQL is at, where it says one.
    """

    collection: str
    table: str
    columns: tuple[str, ...]
    state: str
    error: str | None = None
    progress: float | None = None


@dataclass(frozen=True, slots=True)
class LoadView:
    """What is being read, by collection, how fast it may be, and the indexes that are made afterwards."""

    pace: Pace
    snapshots: Mapping[str, SnapshotView] = field(default_factory=dict)
    indexes: tuple[IndexView, ...] = ()


@dataclass(frozen=True, slots=True)
class DeadLetterGroup:
    """Dead letters of one collection with the same reason: the error without the numbers that vary in it."""

    collection: str
    reason: str
    count: int
    latest: datetime


@dataclass(frozen=True, slots=True)
class FindingGroup:
    """How many paths of a collection have a finding of this kind, and how many values that were."""

    collection: str
    kind: FindingKind
    paths: int
    count: int


@dataclass(frozen=True, slots=True)
class DifferenceGroup:
    """How many differences of one kind remain in a collection.

    Those of documents that wait as dead letters are apart: no repair can write them before their cause is gone.
    """

    collection: str
    kind: DifferenceKind
    count: int
    are_dead_letters: bool = False


@dataclass(frozen=True, slots=True)
class LastReconciliation:
    """The latest finished comparison of each collection, put together. ``at`` is the oldest of them.

    ``compared`` of the ``collections`` were compared at all. ``unproved_since``: the oldest comparison as well, but
    for a collection that was never compared, when it came into being (or was last read).
    ``groups`` are the differences that were not repaired. They count those that a run remembers (its first 10,000), so
    they may sum up to less than :attr:`outstanding`.
    """

    at: datetime
    differences: int
    repaired: int
    documents: int = 0
    groups: tuple[DifferenceGroup, ...] = ()
    compared: int = 0
    collections: int = 0
    unproved_since: datetime | None = None

    @property
    def stale_since(self) -> datetime:
        """For how long there is a collection of which nothing is proved."""
        return self.unproved_since or self.at

    @property
    def is_partial(self) -> bool:
        """Whether some collections were not compared."""
        return self.compared < self.collections

    @property
    def outstanding(self) -> int:
        """How many differences were found and not repaired."""
        return self.differences - self.repaired

    @property
    def unexplained(self) -> int:
        """How many of them do not wait as dead letters."""
        return self.outstanding - sum(group.count for group in self.groups if group.are_dead_letters)

    @property
    def are_dead_letters(self) -> bool:
        """Whether everything outstanding waits as a dead letter."""
        return self.unexplained == 0 < self.outstanding


@dataclass(frozen=True, slots=True)
class Attempt:
    """A reconciliation begun after the latest finished one: it still runs (no ``error``), or it has failed."""

    started_at: datetime
    error: str | None


@dataclass(frozen=True, slots=True)
class MartView:
    """The last load of a mart that was published; all but ``rows`` count the keys that it changed.

    ``source_time`` is the time at MongoDB that it shows, ``warnings`` what may keep its figures from being right; None
    and empty where an older release has loaded it.
    """

    name: str
    as_of: datetime
    loaded_at: datetime
    seconds: float
    rows: int
    inserted: int
    versioned: int
    closed: int
    overwritten: int
    source_time: datetime | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the service ended last, where nothing was replicated since. ``instance`` is its host and process."""

    at: datetime
    instance: str
    cause: str
    hint: str
    exit_code: int


@dataclass(frozen=True, slots=True)
class FailedRequest:
    """What an operator asked for and could not be done, and why. ``collection`` is None for everything."""

    kind: str
    collection: str | None
    error: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Interference:
    """What others have hung on a replicated table: what it does, and the statement that takes it away."""

    cause: str
    fix: str


@dataclass(frozen=True, slots=True)
class Leader:
    """The session that holds the lease."""

    pid: int
    application: str
    address: str | None
    since: datetime


@dataclass(frozen=True, slots=True)
class DatabaseView:
    """What the control tables say. ``is_installed`` is false before the first start: everything else is empty then.

    ``is_writing`` tells whether the leader's writer waits for PostgreSQL at this moment.
    """

    is_installed: bool = False
    cluster_time: int | None = None
    converging_until: int | None = None
    epoch: int = 0
    is_paused: bool = False
    open_requests: int = 0
    dead_letters: int = 0
    collections: Mapping[str, CollectionView] = field(default_factory=dict)
    last_reconciliation: LastReconciliation | None = None
    leader: Leader | None = None
    is_writing: bool = False
    dead_letter_groups: tuple[DeadLetterGroup, ...] = ()
    reconciliation_attempt: Attempt | None = None
    marts: tuple[MartView, ...] = ()
    checkpoint_age: float | None = None
    """Seconds since the last commit, by PostgreSQL's clock."""
    failure: Failure | None = None
    failed_requests: tuple[FailedRequest, ...] = ()
    interference: tuple[Interference, ...] = ()
    """Looked at now and then only."""
    load: LoadView | None = None
    finding_groups: tuple[FindingGroup, ...] = ()
    findings: tuple[SchemaFinding, ...] = ()
    """Those that matter most; the groups count all of them."""

    def finding_paths(self, kind: FindingKind) -> int:
        """How many paths of all collections have a finding of this kind."""
        return sum(group.paths for group in self.finding_groups if group.kind is kind)


@dataclass(frozen=True, slots=True)
class SourceView:
    """What MongoDB says of itself. ``unsupported`` names collections without change events, with their kind.

    ``oplog_is_whole``: it still begins where the replica set does, so nothing has ever been discarded.
    """

    operation_time: int
    oldest_time: int | None = None
    unsupported: Mapping[str, str] = field(default_factory=dict)
    oplog_is_whole: bool = False
