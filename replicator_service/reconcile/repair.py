"""Repairing keys, a few hundred in a transaction, so that the service is never held up for long.

Under the lock the tables show the checkpoint's cluster time, and the documents are read at exactly that time: what is
written is what the service would have written, whatever has happened since the difference was found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from replicator_service.core.errors import RecordRejected, SnapshotUnavailable
from replicator_service.core.events import Change, Operation
from replicator_service.core.rows import Encoder, RowGroup
from replicator_service.reconcile.comparison_point import NotYet, explain_unreadable
from replicator_service.reconcile.documents import key_of
from replicator_service.reconcile.retrying import retrying
from replicator_service.sink.control.registry import registered
from replicator_service.sink.reconcile.repair import RepairTransaction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from replicator_service.reconcile.compared_collection import ComparedCollection
    from replicator_service.reconcile.servers import Servers
    from replicator_service.sink.reconcile.comparison import RowVersion

_BATCH_KEYS = 300


class Repair:
    """Repairs the tables of one collection. ``repairing`` is told of the keys within their transaction."""

    def __init__(
        self,
        servers: Servers,
        compared: ComparedCollection,
        *,
        timeout_seconds: float,
        repairing: Callable[[set[str]], None] = lambda _: None,
    ) -> None:
        self._repairing = repairing
        self._servers = servers
        self._compared = compared
        self._timeout_seconds = timeout_seconds
        self._encoder = Encoder(lambda _: compared.transform)

    def write(self, ids: dict[str, Any]) -> set[str]:
        """Write the documents of these keys as they are at the checkpoint and return the keys that are right now.

        A key without a document is right when it has no row. Documents that PostgreSQL refuses stay as they are.
        """
        repaired: set[str] = set()
        waiting = list(_batches(list(ids)))
        while waiting:
            keys = waiting.pop()
            try:
                repaired |= retrying(self._timeout_seconds)(self._write_once, {key: ids[key] for key in keys})
            except RecordRejected:
                if len(keys) > 1:
                    middle = len(keys) // 2
                    waiting += [keys[middle:], keys[:middle]]
        return repaired

    def delete(self, rows: Sequence[RowVersion]) -> set[str]:
        """Delete rows that nobody has written since they were seen and return the keys that have no row left.

        The service writes a row whenever it sees its document, so a row that is still the same has no document still.
        """
        keys = sorted({row.key for row in rows})

        def once() -> set[str]:
            with self._transaction() as transaction:
                transaction.delete(rows)
                gone = set(keys) - transaction.keys_with_rows(keys)
                self._repairing(gone)
                return gone

        return retrying(self._timeout_seconds)(once)

    def _write_once(self, ids: dict[str, Any]) -> set[str]:
        repaired: set[str] = set()
        with self._transaction() as transaction:
            self._require_mapping()
            position = transaction.checkpoint.position
            at = position.cluster_time if position is not None else 0
            absent = set(ids)
            try:
                for group in self._groups(list(ids.values()), at):
                    transaction.write(group)
                    read = {change.key for change in group.changes}
                    absent -= read
                    repaired |= read - {each.change.key for each in group.rejected}
            except SnapshotUnavailable as error:
                raise explain_unreadable(self._servers, at) from error
            repaired |= absent - transaction.keys_with_rows(sorted(absent))
            self._repairing(repaired)
        return repaired

    def _groups(self, ids: Sequence[Any], at: int) -> Iterator[RowGroup]:
        collection = self._compared.collection
        for reply in self._servers.source.by_ids(collection, ids, at=at):
            changes = [
                Change(collection, key_of(reply, index), Operation.READ, at, reply, index, source_id)
                for index, source_id in enumerate(reply.ids)
            ]
            yield self._encoder.encode(changes)

    def _require_mapping(self) -> None:
        """The service may have been restarted with another mapping since the comparison began."""
        known = registered(self._servers.write, self._servers.stream, self._compared.collection)
        if not any(self._compared.is_written_as(each) for each in known):
            raise NotYet(f"the mapping of {self._compared.collection} has just changed", hint="Try again.")

    def _transaction(self) -> RepairTransaction:
        servers = self._servers
        return RepairTransaction(servers.write, servers.schema, servers.stream, self._compared.tables)


def _batches(keys: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(keys), _BATCH_KEYS):
        yield list(keys[start : start + _BATCH_KEYS])
