"""The model's answer to :class:`LeaderSession`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from replicator_service.core.codec.elements import id_document
from replicator_service.core.errors import LeaseLost, RecordRejected, ReplicatorError, Retryable
from replicator_service.core.sessions import Checkpoint, Registered
from simulation.postgres.client import Client
from simulation.postgres.control import (
    CHECKPOINT,
    COLLECTION,
    DEAD_LETTER,
    DeadLetter,
    apply_step,
    delete_keys,
    require_tables,
)
from simulation.postgres.rows import document_of, parts_of, row_of
from simulation.postgres.server import TABLES, Row, rows_of
from simulation.postgres.storage import Transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from replicator_service.core.mapping.model import TableSpec
    from replicator_service.core.rows import CollectionRows, Rejected, RowGroup
    from replicator_service.core.schema_findings import PathCount
    from replicator_service.core.sessions import Tables
    from replicator_service.core.steps import Commit, ControlStep
    from simulation.network import Network
    from simulation.postgres.server import Server
    from simulation.postgres.storage import Record
    from simulation.scheduler import Process

_AWAY_SECONDS = 5.0
"""A standby that has not looked for so long was frozen itself."""


class ModelLeaderSession(Client):
    """One instance's session. Statements outside a transaction commit by themselves."""

    def __init__(self, server: Server, network: Network, process: Process, stream: str) -> None:
        super().__init__(server, network, process)
        self._stream = stream
        self._seen: tuple[object, int] | None = None
        self._since = self._looked = server.scheduler.now

    # The lease

    def try_lease(self) -> bool:
        """Take the lease if nobody holds it."""
        self.send()
        taken = self.server.try_advisory_lock(("lease", self._stream), self.session)
        self.receive()
        return taken

    def end_frozen_leader(self, seconds: float) -> bool:
        """End the leader's session when it has promised to move and has not for so long."""
        self.send()
        server = self.server
        holder = server.advisory.get(("lease", self._stream))
        if holder is not None and (("renews", self._stream) not in holder.locks or holder.is_busy):
            holder = None
        seen = None if holder is None else (holder, holder.activity)
        now = server.scheduler.now
        was_away = now - self._looked > _AWAY_SECONDS
        self._looked = now
        if seen is None or seen != self._seen or was_away:
            self._seen, self._since = seen, now
            return False
        if now - self._since < seconds or holder is None:
            return False
        self._seen = None
        holder.end()
        return True

    def promise_renewal(self) -> None:
        """Promise to renew."""
        self.send()
        self.server.try_advisory_lock(("renews", self._stream), self.session)

    def renew(self) -> None:
        """Show that this leader lives."""
        self.send()

    # Looking

    def checkpoint(self) -> Checkpoint | None:
        """The checkpoint as it is now."""
        found: Checkpoint | None = self._read(lambda view: view.get(CHECKPOINT, self._stream))
        return found

    def raise_epoch(self) -> Checkpoint:
        """Become the leader."""

        def raised(transaction: Transaction) -> Checkpoint:
            transaction.lock(CHECKPOINT, self._stream)
            known: Checkpoint = transaction.get(CHECKPOINT, self._stream) or Checkpoint(None, 0, None)
            known = replace(known, epoch=known.epoch + 1)
            transaction.put(CHECKPOINT, self._stream, known)
            return known

        checkpoint: Checkpoint = self._change(raised)
        return checkpoint

    def registered(self) -> list[Registered]:
        """Every collection that the stream knows."""
        rows = self._read(lambda view: view.rows(COLLECTION))
        return [rows[name] for name in sorted(rows)]

    def damaged(self, tables: Mapping[str, Tables]) -> dict[str, bool]:
        """Those whose tables are not whole. There are no indexes here."""
        found: dict[str, bool] = self._read(
            lambda view: {name: True for name, each in tables.items() if not _are_whole(view, each)}
        )
        return found

    def dead_letters(self) -> set[tuple[str, str]]:
        """Collection and key of every dead letter."""
        found: set[tuple[str, str]] = self._read(lambda view: set(view.rows(DEAD_LETTER)))
        return found

    # Writing

    def begin(self) -> None:
        """Begin a transaction."""
        self.send()
        if self.session.transaction is not None:
            raise AssertionError("a transaction is open already")
        self.session.transaction = Transaction(self.server.storage)

    def savepoint(self) -> None:
        """Begin a part that can be taken back."""
        self.send()
        self._open().savepoint()

    def release(self) -> None:
        """Keep what was done since the last savepoint."""
        self.send()
        self._open().release()

    def rollback_to_savepoint(self) -> None:
        """Take back what was done since the last savepoint."""
        self.send()
        transaction = self.session.transaction
        if transaction is None:
            raise AssertionError("no transaction is open")
        transaction.rollback_to_savepoint()

    def write(self, group: RowGroup) -> int:
        """Make the tables show the documents of the group."""
        self.send()
        if self.server.on_statement is not None:
            changes = ", ".join(f"{each.operation} {each.collection} {each.key[:40]}" for each in group.changes)
            self.server.on_statement(self.process, f"write {changes}")
        return self._work(
            lambda transaction: sum(self._write(transaction, each) for each in group.collections.values())
        )

    def require_whole(self, tables: Tables) -> None:
        """Make sure that tables are still what they were made."""
        self.send()
        require_tables(self._open(), tables)

    def apply(self, step: ControlStep) -> int:
        """Do what the step says."""
        self.send()
        if self.server.on_statement is not None:
            self.server.on_statement(self.process, str(step)[:200])
        return self._work(lambda transaction: apply_step(self.server, transaction, step))

    def add_dead_letters(self, rejected: Sequence[Rejected]) -> None:
        """Keep refused documents."""
        self.send()

        def add(transaction: Transaction) -> int:
            for each in rejected:
                change = each.change
                number = self.server.storage.next_number()
                dead_letter = DeadLetter(number, change.collection, change.key, id_document(each.document()))
                transaction.put(DEAD_LETTER, (change.collection, change.key), dead_letter)
            return 0

        self._work(add)

    def settle_dead_letters(self, collection: str, keys: Sequence[str]) -> int:
        """Remove dead letters whose later version was written."""
        self.send()
        return self._work(lambda view: sum(view.delete(DEAD_LETTER, (collection, key)) for key in keys))

    def commit(self, step: Commit, epoch: int, findings: Sequence[PathCount] = ()) -> None:  # noqa: ARG002 - not in the model
        """Move the checkpoint and commit. What documents have that does not fit is not kept: nothing depends on it."""
        self.send()
        if self.server.on_statement is not None:
            time, until = step.position.cluster_time, step.converging_until
            told = f"commit {time >> 32}.{time & 0xFFFFFFFF}"
            told += "" if until is None else f", converging until {until >> 32}.{until & 0xFFFFFFFF}"
            self.server.on_statement(self.process, told)

        def move(transaction: Transaction) -> int:
            transaction.lock(CHECKPOINT, self._stream)
            known: Checkpoint | None = transaction.get(CHECKPOINT, self._stream)
            if known is None or known.epoch != epoch:
                raise LeaseLost("another instance has taken the lease")
            moved = Checkpoint(step.position, epoch, step.converging_until, step.mark or known.mark)
            transaction.put(CHECKPOINT, self._stream, moved)
            return 0

        self._work(move)
        self.send()
        self._open().commit()
        self.session.transaction = None
        self.server.committed()
        self.receive()

    def rollback(self) -> None:
        """Take back the open transaction."""
        if self.is_lost or self.session.transaction is None:
            return
        try:
            self.send()
        except Retryable:
            return
        if self.session.transaction is not None:
            self.session.transaction.rollback()
            self.session.transaction = None

    def _open(self) -> Transaction:
        transaction = self.session.transaction
        if transaction is None:
            raise AssertionError("no transaction is open")
        if transaction.is_aborted:
            raise AssertionError("the transaction is aborted")
        return transaction

    def _work(self, work: Callable[[Transaction], int]) -> int:
        """One statement of the open transaction."""
        transaction = self._open()
        self.session.is_busy = True
        try:
            done = work(transaction)
        except ReplicatorError:
            transaction.is_aborted = True
            raise
        finally:
            self.session.is_busy = False
        self.receive()
        return done

    def _read(self, query: Callable[[Transaction], Any]) -> Any:  # noqa: ANN401 - whatever was looked at
        self.send()
        return query(self.session.transaction or Transaction(self.server.storage))

    def _change(self, change: Callable[[Transaction], Record]) -> Record:
        """One statement that commits by itself."""
        self.send()
        transaction = Transaction(self.server.storage)
        try:
            done = change(transaction)
        except BaseException:
            transaction.rollback()
            raise
        transaction.commit()
        self.receive()
        return done

    def _write(self, transaction: Transaction, rows: CollectionRows) -> int:
        require_tables(transaction, rows.tables)
        loaded = set(rows.loaded.keys)
        for table in rows.tables if loaded else ():
            if any(document_of(key) in loaded for key in transaction.rows(rows_of(table.name))):
                raise AssertionError(f"a document that is loaded has rows already in {table.name}")
        written = 0
        for index, table in enumerate(rows.tables):
            written += delete_keys(transaction, table, rows.deleted_keys)
            for keys, lines in parts_of(rows):
                written += self._replace(transaction, table, keys, lines[index])
        return written

    def _replace(self, transaction: Transaction, table: TableSpec, keys: Sequence[str], lines: Sequence[str]) -> int:
        """Make the rows of these documents exactly these; those that are the same are not touched."""
        is_child = len(table.primary_key) > 1
        relation = rows_of(table.name)
        wanted = dict(row_of(line, is_child=is_child) for line in lines)
        documents = set(keys)
        for key in [key for key in transaction.rows(relation) if document_of(key) in documents and key not in wanted]:
            transaction.delete(relation, key)
        for key, (values, valid_from) in wanted.items():
            if (table.name, document_of(key)) in self.server.refused:
                raise RecordRejected("the row is refused")
            kept: Row | None = transaction.get(relation, key)
            if kept is None or kept.values != values:
                transaction.put(relation, key, Row(values, valid_from, self.server.storage.next_number()))
        return len(wanted)


def _are_whole(view: Transaction, specs: Tables) -> bool:
    for table in specs:
        shape = view.get(TABLES, table.name)
        names = set() if shape is None else {name for name, _ in shape.columns}
        if shape is None or shape.primary_key != table.primary_key or any(c.name not in names for c in table.columns):
            return False
    return True
