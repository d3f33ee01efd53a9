"""The leader's session: the protocol of :mod:`replicator_service.core.sessions` answered by PostgreSQL."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

import psycopg

from replicator_service.core.errors import ConfigurationError, LeaseLost
from replicator_service.core.mapping.model import tables_of
from replicator_service.core.naming import schema_name
from replicator_service.core.steps import (
    ChunkDone,
    CollectionState,
    ControlStep,
    EmptyTables,
    FinishSnapshot,
    MoveDeadLetters,
    MoveRows,
    PrepareTables,
    RegisterSnapshots,
    RemoveTables,
    RenameTables,
    RequestHandled,
    RequestTried,
    SetState,
    StartSnapshot,
    StartSweep,
    Sweep,
)
from replicator_service.sink.control import (
    checkpoint,
    dead_letters,
    filled_columns,
    lease,
    registry,
    requests,
    schema_findings,
)
from replicator_service.sink.errors import Where, translate, translated
from replicator_service.sink.indexes.dropping import drop_indexes
from replicator_service.sink.write import table_moves, tables
from replicator_service.sink.write.checked import Checked
from replicator_service.sink.write.journal import Journal
from replicator_service.sink.write.round_trip import Query, QueryFailed, in_one_round_trip
from replicator_service.sink.write.rows import RowWriter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from replicator_service.core.rows import Rejected, RowGroup
    from replicator_service.core.schema_findings import PathCount
    from replicator_service.core.sessions import Checkpoint, Registered, Tables
    from replicator_service.core.steps import Commit
    from replicator_service.sink.connect.connection import Connection

TableStep = (
    PrepareTables
    | RenameTables
    | Sweep
    | EmptyTables
    | MoveRows
    | MoveDeadLetters
    | RemoveTables
    | RequestTried
    | RequestHandled
)
"""Steps that do more than to remember something."""

_BEGIN = (Query(b"begin", None), Query(b"set constraints all immediate", None))
"""What is refused at the commit could not be taken apart: constraints that somebody deferred are checked at once."""

_SAVEPOINT = Query(b"savepoint part", None)
_RELEASE = Query(b"release savepoint part", None)
_COMMIT = Query(b"commit", None)
_REMEMBERS = "remember the state of the stream"


class PostgresLeader:
    """One connection that stands by, leads and writes; closing it gives up the lease."""

    def __init__(self, connection: Connection, stream: str) -> None:
        self._connection = connection
        self._stream = stream
        self._schema = schema_name(stream)
        self._journal = Journal(connection, self._schema, stream)
        self._rows = RowWriter(connection, self._schema, self._journal)
        self._frozen: lease.HolderWatch | None = None
        self._has_schema = False
        self._pending: list[Query] = []
        """What goes along with whatever is sent next: nothing is waited for that nobody needs to know yet.

        So a commit takes two round trips: its rows, which are checked, and the checkpoint with the end of the
        transaction. Who sends statements directly sends these before.
        """

    def try_lease(self) -> bool:
        return lease.try_lease(self._connection, self._stream)

    def end_frozen_leader(self, seconds: float) -> bool:
        if self._frozen is None:
            self._frozen = lease.HolderWatch(self._connection, self._stream, seconds=seconds, clock=time.monotonic)
        has_ended = self._frozen.end_if_frozen()
        refusal, self._frozen.refusal = self._frozen.refusal, None
        if refusal is not None:
            raise ConfigurationError(refusal.message, hint=refusal.hint)
        return has_ended

    def promise_renewal(self) -> None:
        lease.begin_renewing(self._connection, self._stream)

    def renew(self) -> None:
        lease.renew(self._connection)

    def checkpoint(self) -> Checkpoint | None:
        return checkpoint.read_checkpoint(self._connection, self._stream)

    def raise_epoch(self) -> Checkpoint:
        return checkpoint.raise_epoch(self._connection, self._stream)

    def registered(self) -> list[Registered]:
        return registry.registered(self._connection, self._stream)

    def damaged(self, tables_of: Mapping[str, Tables]) -> dict[str, bool]:
        return tables.damaged(self._connection, self._schema, tables_of)

    def dead_letters(self) -> set[tuple[str, str]]:
        return dead_letters.open_keys(self._connection, self._stream)

    def begin(self) -> None:
        self._journal.begin()
        self._pending += _BEGIN
        self._rows.begin()

    def savepoint(self) -> None:
        self._pending.append(_SAVEPOINT)

    def release(self) -> None:
        self._pending.append(_RELEASE)

    def rollback_to_savepoint(self) -> None:
        self._rows.rolled_back()
        if _SAVEPOINT in self._pending:
            # Refused before it was sent: all that came before the savepoint is still to be sent.
            del self._pending[self._pending.index(_SAVEPOINT) :]
            return
        self._pending.clear()
        with translated():
            self._connection.execute(b"rollback to savepoint part; release savepoint part")

    def write(self, group: RowGroup) -> int:
        first = [Checked(query, (), step=_REMEMBERS) for query in self._pending]
        self._pending.clear()
        return self._rows.write(group, first)

    def require_whole(self, touched: Tables) -> None:
        self._send()
        tables.require_shape(self._connection, self._schema, touched)

    def apply(self, step: ControlStep) -> int:
        match step:
            case RegisterSnapshots() | SetState() | StartSnapshot() | ChunkDone() | StartSweep() | FinishSnapshot():
                self._pending += registry.queries(self._stream, step)
                if isinstance(step, StartSnapshot):
                    self._pending.append(schema_findings.forgets(self._stream, step.collection))
                    self._drop_indexes(step.empty)
                return 0
            case _:
                self._send()
                return self._apply(step)

    def _apply(self, step: TableStep) -> int:
        match step:
            case RequestTried():
                requests.mark_tried(self._connection, step.request)
            case RequestHandled():
                requests.mark_handled(self._connection, step.request, step.error)
            case PrepareTables():
                self._prepare(step)
            case MoveDeadLetters():
                dead_letters.move(self._connection, self._stream, step.collection, step.target)
                schema_findings.move(self._connection, self._stream, step.collection, step.target)
            case RenameTables():
                registry.rename(self._connection, self._stream, step.renames)
                targets = {each.table: each.target for each in step.renames}
                self._everything(*targets, *(each.name for each in targets.values()), *step.left)
                table_moves.rename_tables(self._connection, self._schema, targets, step.left)
            case MoveRows():
                self._everything(step.source.name, step.target.name)
                table_moves.replace_rows(self._connection, self._schema, step.source, step.target)
            case RemoveTables():
                self._everything(*(table.name for table in step.tables))
                table_moves.remove_tables(self._connection, self._schema, step.tables)
                registry.unregister(self._connection, self._stream, step.collection)
                filled_columns.forget(self._connection, self._stream, step.collection)
                self._forget(step.collection)
            case EmptyTables():
                self._pending.append(registry.set_state(self._stream, step.collection, CollectionState.DROPPED))
                self._forget(step.collection)
                self._everything(*(table.name for table in step.tables))
                return table_moves.empty_tables(self._connection, self._schema, [table.name for table in step.tables])
            case Sweep():
                self._pending += registry.queries(self._stream, step)
                if step.keys:
                    dead_letters.settle(self._connection, self._stream, step.collection, step.keys)
                    self._rows.delete(step.tables, step.keys)
                return len(step.keys)
        return 0

    def add_dead_letters(self, rejected: Sequence[Rejected]) -> None:
        self._send()
        dead_letters.add_dead_letters(self._connection, self._stream, rejected)

    def settle_dead_letters(self, collection: str, keys: Sequence[str]) -> int:
        self._send()
        return dead_letters.settle(self._connection, self._stream, collection, keys)

    def commit(self, step: Commit, epoch: int, findings: Sequence[PathCount] = ()) -> None:
        moves = checkpoint.moves(self._stream, epoch, step)
        added = schema_findings.additions(self._stream, findings, step.position.cluster_time)
        before, self._pending = self._pending, []
        ending = [*moves, *added, *self._journal.closing()]
        try:
            answers = in_one_round_trip(self._connection, [*before, *ending, _COMMIT])
        except QueryFailed as failed:
            if failed.index == len(before) and checkpoint.is_fenced(failed.error):
                raise LeaseLost(
                    "another instance has taken the lease", hint="This instance stands by."
                ) from failed.error
            is_commit = failed.index >= len(before) + len(ending)
            raise translate(failed.error, Where("" if is_commit else _REMEMBERS)) from failed.error
        self._journal.learn(answers[-2])

    def rollback(self) -> None:
        self._rows.rolled_back()
        was_sent = _BEGIN[0] not in self._pending
        self._pending.clear()
        if was_sent and not self._connection.closed:
            with translated():
                self._connection.execute(b"rollback")

    def close(self) -> None:
        with suppress(psycopg.Error):
            self._connection.close()

    def _prepare(self, step: PrepareTables) -> None:
        if not self._has_schema:
            tables.ensure_schema(self._connection, self._schema)
            self._has_schema = True
        wanted = [table for each in step.collections for table in tables_of(each.mapping)]
        self._everything(*(table.name for table in wanted))
        if step.may_rebuild:
            tables.rebuild_tables(self._connection, self._schema, wanted)
        else:
            tables.ensure_tables(self._connection, self._schema, wanted)
        mappings = [each.mapping for each in step.collections]
        filled_columns.empty_left(self._connection, self._schema, self._stream, mappings)
        self._pending += [*registry.queries(self._stream, step), filled_columns.remembers(self._stream, mappings)]

    def _everything(self, *tables: str) -> None:
        """Whoever watches these tables is told that any of their values may have changed."""
        self._pending += [step.query for step in self._journal.anything(tables)]

    def _drop_indexes(self, tables_: Tables) -> None:
        if any(table.indexes for table in tables_):
            self._send()
            drop_indexes(self._connection, self._schema, tables_)

    def _forget(self, collection: str) -> None:
        dead_letters.settle_collection(self._connection, self._stream, collection)
        self._pending.append(schema_findings.forgets(self._stream, collection))

    def _send(self) -> None:
        """Send what waits."""
        waiting, self._pending = self._pending, []
        if not waiting:
            return
        try:
            in_one_round_trip(self._connection, waiting)
        except QueryFailed as failed:
            raise translate(failed.error, Where(_REMEMBERS)) from failed.error
