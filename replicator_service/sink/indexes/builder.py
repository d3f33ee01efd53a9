"""Makes the indexes of replicated tables, one at a time, on a connection of its own.

``create index concurrently`` lets the writer write. It is no part of any transaction: what is there follows from
PostgreSQL's catalog alone, so a crash anywhere leaves nothing to remember. A build that was broken off leaves an index
that is not valid, is never used and is maintained all the same: it is dropped, and made anew.

A table is filled without indexes: one made afterwards costs a fraction of what the load pays for each row (measured on
PostgreSQL 18, flat documents with two indexes: 6.3 µs a document with them, 2.2 and 1.0 for making them afterwards).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from replicator_service.core.errors import ConfigurationError, ReplicatorError, Retryable
from replicator_service.core.mapping.ddl import create_index, qualified
from replicator_service.core.mapping.model import tables_of
from replicator_service.core.naming import cut, index_name, schema_name
from replicator_service.core.steps import CollectionState
from replicator_service.sink.control.registry import registered
from replicator_service.sink.errors import Where, translate, translated
from replicator_service.sink.write.existing import existing_tables, taken_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from replicator_service.core.mapping.model import Mapping, TableSpec
    from replicator_service.sink.connect.connection import Connection

_RETRY_SECONDS = 60.0
_CANCEL_SECONDS = 2.0

_LOCK = "select pg_catalog.pg_try_advisory_lock(pg_catalog.hashtextextended('replicator: indexes:' || %s, 0))"

_INVALID = """
select k.relname::text
from pg_catalog.pg_index as i
inner join pg_catalog.pg_class as k on k.oid = i.indexrelid
inner join pg_catalog.pg_class as c on c.oid = i.indrelid
inner join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where n.nspname = %s and c.relname = %s and not i.indisvalid and k.relname = any(%s)
"""

_SAY = """
insert into replicator.index_build as b (stream, index_name, collection, table_name, columns, state, error)
values (%s, %s, %s, %s, %s, %s, %s)
on conflict (stream, index_name) do update set
    collection = excluded.collection, table_name = excluded.table_name, columns = excluded.columns,
    state = excluded.state, error = excluded.error,
    changed_at = now()
where (b.state, b.error) is distinct from (excluded.state, excluded.error)
"""

_FORGET = "delete from replicator.index_build where stream = %s and not index_name = any(%s)"


@dataclass(frozen=True, slots=True)
class Missing:
    """An index that is not there (or not valid). ``is_due``: its table is not being filled."""

    collection: str
    table: TableSpec
    columns: tuple[str, ...]
    is_due: bool
    is_partitioned: bool

    @property
    def name(self) -> str:
        """What it is to be called, unless something else is."""
        return index_name(self.table.name, self.columns)


class IndexBuilder:
    """Builds for one stream. ``clock`` gives monotonic seconds."""

    def __init__(self, connection: Connection, stream: str, mapping: Mapping, *, clock: Callable[[], float]) -> None:
        self._connection = connection
        self._stream = stream
        self._schema = schema_name(stream)
        self._mapping = mapping
        self._clock = clock
        self._has_lock = False
        self._failed: dict[str, float] = {}
        """When each that could not be made was tried last."""

    def cancel(self) -> None:
        """Break off what is being built; may be called from another thread. Never raises."""
        with suppress(psycopg.Error):
            self._connection.cancel_safe(timeout=_CANCEL_SECONDS)

    def close(self) -> None:
        """End the session."""
        self._connection.close()

    def turn(self) -> Missing | None:
        """Make the next index that is due, and give it; None when there is none.

        One that PostgreSQL refuses is told, and tried again after a minute; no other waits for it. Raises
        :class:`Retryable` when PostgreSQL is away.
        """
        if not self._locked():
            return None
        missing = self._missing()
        with translated():
            self._connection.execute(_FORGET, (self._stream, [each.name for each in missing]))
        now = self._clock()
        due = None
        for each in missing:
            tried = self._failed.get(each.name)
            if tried is not None and now - tried < _RETRY_SECONDS:
                continue
            if due is None and each.is_due:
                due = each
            elif tried is None:
                self._say(each, "waiting")
        if due is not None:
            self._try(due)
        return due

    def _locked(self) -> bool:
        """One builder a stream, whoever leads: the build of another looks like one that was broken off."""
        if not self._has_lock:
            with translated():
                row = self._connection.execute(_LOCK, (self._stream,)).fetchone()
            self._has_lock = bool(row and row[0])
        return self._has_lock

    def _missing(self) -> list[Missing]:
        states = {each.collection: each.state for each in registered(self._connection, self._stream)}
        tables = [
            (typed.collection, table)
            for typed in self._mapping.collections
            if typed.collection in states
            for table in tables_of(typed)
            if table.indexes
        ]
        existing = existing_tables(self._connection, self._schema, [table.name for _, table in tables])
        return [
            Missing(
                name,
                table,
                columns,
                states[name] is not CollectionState.SNAPSHOTTING,
                is_partitioned=existing[table.name].kind == "p",
            )
            for name, table in tables
            if table.name in existing
            for columns in table.indexes
            if columns not in existing[table.name].indexes and set(columns) <= set(existing[table.name].columns)
        ]

    def _try(self, one: Missing) -> None:
        self._say(one, "building")
        try:
            self._build(one)
        except Retryable:
            raise
        except ReplicatorError as error:
            self._failed[one.name] = self._clock()
            self._say(one, "failed", f"{error.message}. {error.hint}".strip())
        else:
            self._failed.pop(one.name, None)
            with translated():
                self._connection.execute(
                    "delete from replicator.index_build where stream = %s and index_name = %s", (self._stream, one.name)
                )

    def _build(self, one: Missing) -> None:
        """Make it, and leave nothing behind when that fails: what is not valid costs every write and serves none."""
        names = list(_names(one.name))
        self._drop_invalid(one, names)
        taken = taken_names(self._connection, self._schema, names)
        name = next(each for each in names if each not in taken)
        table = qualified(self._schema, one.table.name)
        statement = create_index(
            self._schema, one.table.name, one.columns, name=name, concurrently=not one.is_partitioned
        )
        try:
            self._connection.execute(statement.encode())
        except psycopg.errors.QueryCanceled:
            # Somebody needs the table: the next turn drops what is left and begins again.
            return
        except psycopg.Error as error:
            if not self._connection.closed:
                self._drop_invalid(one, names)
            raise _refused(one, translate(error, Where(f"create the index {name}", table))) from error

    def _drop_invalid(self, one: Missing, names: list[str]) -> None:
        with translated(step=f"drop an index of {self._schema}.{one.table.name} that was not finished"):
            found = self._connection.execute(_INVALID, (self._schema, one.table.name, names)).fetchall()
            for (name,) in found:
                self._connection.execute(
                    sql.SQL("drop index concurrently if exists {}").format(sql.Identifier(self._schema, name))
                    if not one.is_partitioned
                    else sql.SQL("drop index if exists {}").format(sql.Identifier(self._schema, name))
                )

    def _say(self, one: Missing, state: str, error: str | None = None) -> None:
        values = (self._stream, one.name, one.collection, one.table.name, list(one.columns), state, error)
        with translated():
            self._connection.execute(_SAY, values)


def _refused(one: Missing, error: ReplicatorError) -> ReplicatorError:
    if isinstance(error, Retryable):
        return error
    where = f"the index on {', '.join(one.columns)} of the table {one.table.name}"
    return ConfigurationError(error.message, hint=f"{error.hint} Or take {where} out of the mapping file.".strip())


def _names(name: str) -> Iterable[str]:
    """The name, and a few others where a table that was renamed has it still."""
    yield name
    for number in range(2, 10):
        suffix = f"_{number}"
        yield cut(name, 63 - len(suffix)) + suffix
