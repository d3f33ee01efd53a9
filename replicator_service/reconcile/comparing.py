"""One part, compared at one point in time: what hinders is waited for, and what does not last begins anew."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from replicator_service.core.errors import ReplicatorError, Retryable, SnapshotUnavailable
from replicator_service.reconcile.compared_collection import ComparedCollection, compared_collection
from replicator_service.reconcile.comparison_point import (
    ComparisonPoint,
    NeverNow,
    NotYet,
    close_comparison_point,
    explain_unreadable,
    is_led,
    open_comparison_point,
    require_unchanged,
)
from replicator_service.reconcile.documents import DocumentPass
from replicator_service.reconcile.keys import KeyPass, keys_of
from replicator_service.reconcile.parts import Part, Scope
from replicator_service.reconcile.repair import Repair
from replicator_service.reconcile.retrying import retrying
from replicator_service.sink.control.registry import registered
from replicator_service.sink.reconcile.comparison import Comparison

if TYPE_CHECKING:
    from collections.abc import Callable

    from replicator_service.core.mapping.model import Mapping
    from replicator_service.reconcile.encoding import Encoding
    from replicator_service.reconcile.findings import Findings
    from replicator_service.reconcile.options import Options
    from replicator_service.reconcile.servers import Servers
    from replicator_service.source.read.cursor import ReadCursor


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the comparison of a part ended; what it has found is in the findings."""

    cluster_time: int | None = None
    skipped: str | None = None
    error: ReplicatorError | None = None


def compare_part(
    servers: Servers,
    mapping: Mapping,
    part: Part,
    options: Options,
    findings: Findings,
    *,
    encoder: Encoding,
    advanced: Callable[[int], None],
) -> Outcome:
    """Compare a part, as often as it takes to find a comparison point that lasts."""
    cluster_time: int | None = None

    def attempt() -> int:
        nonlocal cluster_time
        compared = _compared(servers, mapping, part.collection)
        once = _Attempt(servers, compared, part, options, findings, encoder, advanced)
        try:
            return once.run()
        except Retryable:
            findings.begin_again()
            raise
        except ReplicatorError:
            cluster_time = once.cluster_time
            raise

    try:
        return Outcome(retrying(options.timeout_seconds, lambda reason: _passes(servers, reason))(attempt))
    except NeverNow as reason:
        return Outcome(skipped=reason.message)
    except Retryable as reason:
        return Outcome(error=reason)
    except ReplicatorError as error:
        return Outcome(cluster_time, error=error)


def _compared(servers: Servers, mapping: Mapping, collection: str) -> ComparedCollection:
    """Only the table of a collection that nobody has registered depends on the others' names, which may be many."""
    known = registered(servers.write, servers.stream, collection) or registered(servers.write, servers.stream)
    return compared_collection(mapping, collection, known)


def _passes(servers: Servers, reason: Retryable) -> bool:
    """Whether waiting helps: with a service that moves the checkpoint, and connections to see it with."""
    if servers.read.closed or servers.write.closed:
        return False
    return not isinstance(reason, NotYet) or is_led(servers)


class _Attempt:
    """One attempt at one comparison point."""

    def __init__(
        self,
        servers: Servers,
        compared: ComparedCollection,
        part: Part,
        options: Options,
        findings: Findings,
        encoder: Encoding,
        advanced: Callable[[int], None],
    ) -> None:
        self._servers = servers
        self._compared = compared
        self._part = part
        self._options = options
        self._findings = findings
        self._encoder = encoder
        self._advanced = advanced
        self._comparison = Comparison(servers.read, servers.schema, compared.tables, deep=options.deep)
        self.cluster_time: int | None = None

    def run(self) -> int:
        """Compare, and return the cluster time of the comparison point.

        Raises :class:`NotYet` when the comparison point did not last.
        """
        self._comparison.prepare()
        point = open_comparison_point(self._servers, self._compared)
        self.cluster_time = point.cluster_time
        repair = Repair(
            self._servers,
            self._compared,
            timeout_seconds=self._options.timeout_seconds,
            repairing=self._findings.repairing,
        )
        try:
            self._compare(point, repair)
        except SnapshotUnavailable as error:
            raise explain_unreadable(self._servers, point.cluster_time) from error
        finally:
            close_comparison_point(self._servers)
        return point.cluster_time

    def _compare(self, point: ComparisonPoint, repair: Repair) -> None:
        if not self._comparison.exists():
            self._compare_nothing(point)
            return
        if point.found is None and not any(self._comparison.counts()):
            return
        point.require_source()
        scope = self._part.scope
        is_complete = False
        if scope is not Scope.KEYS and not point.is_dropped:
            is_complete = self._compare_documents(point, repair)
        if scope is Scope.KEYS or point.is_dropped or (scope is Scope.WHOLE and not is_complete):
            self._compare_keys(point, repair)

    def _compare_documents(self, point: ComparisonPoint, repair: Repair) -> bool:
        """Compare documents and return whether they explain every row that there is."""
        documents = DocumentPass(
            self._compared,
            self._comparison,
            point,
            self._findings,
            encoder=self._encoder,
            repair=repair.write if self._options.repair else lambda _: set(),
            advanced=self._advanced,
        )
        with closing(self._documents(point)) as cursor:
            documents.run(iter(cursor))
        require_unchanged(self._servers, self._compared, point)
        return self._part.scope is Scope.WHOLE and documents.counted.rows == self._comparison.counts()

    def _compare_keys(self, point: ComparisonPoint, repair: Repair) -> None:
        reading, collection = self._servers.reading, self._part.collection
        cursor = () if point.is_dropped else reading.ids_in_order(collection, at=point.cluster_time, uuid=point.uuid)
        self._comparison.expect_keys(keys_of(cursor))
        require_unchanged(self._servers, self._compared, point)
        KeyPass(self._compared, self._comparison, point, self._findings, self._options, delete=repair.delete).run()

    def _compare_nothing(self, point: ComparisonPoint) -> None:
        """There are no tables: then there must be no documents."""
        if point.is_dropped or point.found is None:
            return
        with closing(self._documents(point)) as cursor:
            for _ in cursor:
                raise NotYet(
                    f"{self._part.collection} has documents and no table",
                    hint=f"'replicator resync {self._part.collection}' reads it again.",
                )

    def _documents(self, point: ComparisonPoint) -> ReadCursor:
        part = self._part
        return self._servers.reading.documents(part.collection, part.range, at=point.cluster_time, uuid=point.uuid)
