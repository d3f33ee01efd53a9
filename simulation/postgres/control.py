"""What each step of the pipeline does to the relations of the control schema and of the replicated tables."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, assert_never

from replicator_service.core.errors import ConfigurationError, TableChanged
from replicator_service.core.mapping.fingerprint import fingerprint
from replicator_service.core.mapping.model import tables_of
from replicator_service.core.sessions import Progress, Registered
from replicator_service.core.steps import (
    ChunkDone,
    CollectionState,
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
from simulation.postgres.rows import document_of
from simulation.postgres.server import TABLES, TableShape, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from replicator_service.core.mapping.model import CollectionMapping, TableSpec
    from replicator_service.core.steps import ControlStep, Preparation
    from simulation.postgres.server import Server
    from simulation.postgres.storage import Transaction

CHECKPOINT = "replicator.checkpoint"
COLLECTION = "replicator.collection"
DEAD_LETTER = "replicator.dead_letter"
REQUEST = "replicator.request"
PAUSE = "replicator.pause"
PACE = "replicator.snapshot_pace"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A refused document. ``is_retried``: somebody asked to try it again."""

    id: int
    collection: str
    key: str
    id_document: bytes
    is_retried: bool = False


@dataclass(frozen=True, slots=True)
class RequestRow:
    """Something an operator asked for."""

    id: int
    kind: str
    collection: str | None
    attempts: int = 0
    is_handled: bool = False
    error: str | None = None


def apply_step(server: Server, transaction: Transaction, step: ControlStep) -> int:
    """Do what a step says and return how many rows were deleted."""
    match step:
        case RegisterSnapshots():
            for mapping, uuid in step.collections:
                _register(transaction, mapping, CollectionState.SNAPSHOTTING)
                known = _registered(transaction, mapping.collection)
                transaction.put(COLLECTION, mapping.collection, replace(known, progress=None, uuid=uuid))
        case PrepareTables():
            for each in step.collections:
                _prepare_all(server, transaction, each, may_rebuild=step.may_rebuild)
        case RenameTables():
            _rename_tables(transaction, step)
        case MoveRows():
            _move_rows(server, transaction, step)
        case StartSnapshot() | ChunkDone() | StartSweep() | FinishSnapshot() | SetState():
            _progress(transaction, step)
        case RequestTried() | RequestHandled():
            _note_request(transaction, step)
        case MoveDeadLetters():
            _move_dead_letters(transaction, step)
        case Sweep() | EmptyTables() | RemoveTables():
            return _delete(transaction, step)
        case _:
            assert_never(step)
    return 0


def require_tables(transaction: Transaction, tables: Iterable[TableSpec]) -> None:
    """Raise :class:`TableChanged` when a table or one of its columns is missing."""
    for table in tables:
        shape: TableShape | None = transaction.get(TABLES, table.name)
        if shape is None or not set(_columns(table)) <= set(shape.columns):
            raise TableChanged(f"the table {table.name} is not what it was")


def delete_keys(transaction: Transaction, table: TableSpec, keys: Iterable[str]) -> int:
    """Delete the rows of some documents and return how many there were."""
    wanted = set(keys)
    relation = rows_of(table.name)
    gone = [key for key in transaction.rows(relation) if document_of(key) in wanted]
    return sum(transaction.delete(relation, key) for key in gone)


def _columns(table: TableSpec) -> tuple[tuple[str, str], ...]:
    return tuple((column.name, column.type) for column in table.columns)


def _rename_tables(transaction: Transaction, step: RenameTables) -> None:
    """Two tables may change their names, so all are taken away before any is put back."""
    for rename in step.renames:
        known = _registered(transaction, rename.collection)
        transaction.put(COLLECTION, rename.collection, replace(known, table_name=rename.target.name))
    taken = [
        (rename.target.name, transaction.get(TABLES, rename.table), dict(transaction.rows(rows_of(rename.table))))
        for rename in step.renames
    ]
    for rename in step.renames:
        _remove_table(transaction, rename.table)
    for target, shape, rows in taken:
        if shape is not None:
            transaction.put(TABLES, target, shape)
            for key, row in rows.items():
                transaction.put(rows_of(target), key, row)
    for name in step.left:
        _empty(transaction, name)


def _move_rows(server: Server, transaction: Transaction, step: MoveRows) -> None:
    require_tables(transaction, (step.source, step.target))
    source, target = rows_of(step.source.name), rows_of(step.target.name)
    moved = dict(transaction.rows(source))
    for key in [key for key in transaction.rows(target) if key not in moved]:
        transaction.delete(target, key)
    for key, row in moved.items():
        kept = transaction.get(target, key)
        if kept is None or kept.values != row.values:
            transaction.put(target, key, replace(row, version=server.storage.next_number()))
        transaction.delete(source, key)


def _note_request(transaction: Transaction, step: RequestTried | RequestHandled) -> None:
    row: RequestRow = transaction.get(REQUEST, step.request)
    if isinstance(step, RequestTried):
        row = replace(row, attempts=row.attempts + 1)
    else:
        row = replace(row, is_handled=True, error=step.error)
    transaction.put(REQUEST, step.request, row)


def _prepare_all(server: Server, transaction: Transaction, each: Preparation, *, may_rebuild: bool) -> None:
    for table in tables_of(each.mapping):
        _prepare(server, transaction, table, may_rebuild=may_rebuild)
    _register(transaction, each.mapping, each.state)
    name = each.mapping.collection
    tables = tuple(table.name for table in tables_of(each.mapping))
    transaction.put(COLLECTION, name, replace(_registered(transaction, name), tables=tables, uuid=each.uuid))


def _register(transaction: Transaction, mapping: CollectionMapping, state: CollectionState) -> None:
    known: Registered | None = transaction.get(COLLECTION, mapping.collection)
    hashed = fingerprint(mapping)
    if known is None:
        row = Registered(mapping.collection, mapping.table, state, hashed)
    else:
        row = replace(known, table_name=mapping.table, state=state, mapping_hash=hashed)
    transaction.put(COLLECTION, mapping.collection, row)


def _prepare(server: Server, transaction: Transaction, table: TableSpec, *, may_rebuild: bool) -> None:
    shape: TableShape | None = transaction.get(TABLES, table.name)
    wanted = _columns(table)
    if shape is not None:
        kinds = dict(shape.columns)
        conflicts = [name for name, kind in wanted if kinds.get(name, kind) != kind]
        if shape.primary_key != table.primary_key or conflicts:
            if not may_rebuild:
                raise ConfigurationError(f"the table {table.name} has another shape")
            _remove_table(transaction, table.name)
            shape = None
    if shape is None:
        made = TableShape(wanted, table.primary_key, server.storage.next_number())
        transaction.put(TABLES, table.name, made)
    elif missing := [column for column in wanted if column not in shape.columns]:
        transaction.put(TABLES, table.name, replace(shape, columns=(*shape.columns, *missing)))


def _empty(transaction: Transaction, table: str) -> int:
    relation = rows_of(table)
    return sum(transaction.delete(relation, key) for key in list(transaction.rows(relation)))


def _remove_table(transaction: Transaction, name: str) -> None:
    _empty(transaction, name)
    transaction.delete(TABLES, name)


def _progress(
    transaction: Transaction, step: StartSnapshot | ChunkDone | StartSweep | FinishSnapshot | SetState
) -> None:
    known = _registered(transaction, step.collection)
    progress = known.progress or Progress()
    match step:
        case StartSnapshot():
            begun = Progress(step.ranges, expected=step.expected, sweeps=step.sweeps)
            known = replace(known, state=CollectionState.SNAPSHOTTING, uuid=step.uuid, progress=begun)
        case ChunkDone():
            documents = progress.documents + step.documents
            ranges = tuple(
                replace(each, place=step.place) if each.number == step.number else each
                for each in progress.ranges
                if each.number != step.number or step.place is not None
            )
            known = replace(known, progress=replace(progress, ranges=ranges, documents=documents))
        case StartSweep():
            known = replace(known, progress=replace(progress, sweep_place=""))
        case FinishSnapshot():
            known = replace(known, state=CollectionState.STREAMING, progress=None)
        case SetState():
            uuid = None if step.state is CollectionState.DROPPED else known.uuid
            known = replace(known, state=step.state, uuid=uuid)
    transaction.put(COLLECTION, step.collection, known)


def _delete(transaction: Transaction, step: Sweep | EmptyTables | RemoveTables) -> int:
    known = _registered(transaction, step.collection)
    dead_letters = [key for key in transaction.rows(DEAD_LETTER) if key[0] == step.collection]  # type: ignore[index]  # pairs
    deleted = 0
    match step:
        case Sweep():
            require_tables(transaction, step.tables)
            deleted = sum(delete_keys(transaction, table, step.keys) for table in step.tables)
            dead_letters = [key for key in dead_letters if key[1] in step.keys]  # type: ignore[index]  # pairs
            progress = replace(known.progress or Progress(), sweep_place=step.place)
            transaction.put(COLLECTION, step.collection, replace(known, progress=progress))
        case EmptyTables():
            require_tables(transaction, step.tables)
            deleted = sum(_empty(transaction, table.name) for table in step.tables)
            transaction.put(COLLECTION, step.collection, replace(known, state=CollectionState.DROPPED, uuid=None))
        case RemoveTables():
            for table in step.tables:
                _remove_table(transaction, table.name)
            transaction.delete(COLLECTION, step.collection)
    for key in dead_letters:
        transaction.delete(DEAD_LETTER, key)
    return deleted


def _registered(transaction: Transaction, name: str) -> Registered:
    """What is remembered of a collection: a statement about one that is not would change nothing, and say nothing."""
    known: Registered | None = transaction.get(COLLECTION, name)
    if known is None:
        raise AssertionError(f"a step is about {name}, which was never registered")
    return known


def _move_dead_letters(transaction: Transaction, step: MoveDeadLetters) -> None:
    concerned = (step.collection, step.target)
    dead_letters: list[DeadLetter] = [
        each for each in transaction.rows(DEAD_LETTER).values() if each.collection in concerned
    ]
    for dead_letter in dead_letters:
        transaction.delete(DEAD_LETTER, (dead_letter.collection, dead_letter.key))
    for dead_letter in dead_letters:
        if dead_letter.collection == step.collection:
            moved = replace(dead_letter, collection=step.target)
            transaction.put(DEAD_LETTER, (step.target, dead_letter.key), moved)
