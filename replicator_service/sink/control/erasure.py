"""One document erased: in one transaction everything of it is deleted, looked for again, and a receipt is written.

Tables are locked before the checkpoint, as the writer takes them. While both are held the tables show exactly the
checkpoint's cluster time, and nobody writes to them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from psycopg import sql
from psycopg.types.json import Jsonb

from replicator_service.core.errors import Fatal, ReplicatorError, Retryable
from replicator_service.core.steps import CollectionState
from replicator_service.sink.control.checkpoint import read_checkpoint
from replicator_service.sink.errors import translated
from replicator_service.sink.write.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replicator_service.core.position import Position
    from replicator_service.core.sessions import Registered
    from replicator_service.sink.connect.connection import Connection

_LOCK_SECONDS = 5

_CONTROL = {
    "replicator.dead_letter": sql.SQL("stream = %(stream)s and collection = %(collection)s and source_id = %(key)s"),
    "replicator.reconciliation_difference": sql.SQL(
        "collection = %(collection)s and source_id = %(key)s "
        "and run_id in (select r.id from replicator.reconciliation_run as r where r.stream = %(stream)s)"
    ),
}
_FORGET_PLACE = """
with ranges as (
    delete from replicator.snapshot_range as r
    where r.stream = %(stream)s and r.collection = %(collection)s
)

update replicator.snapshot_progress set sweep_place = null
where stream = %(stream)s and collection = %(collection)s and finished_at is not null
"""
_MARTS = """
select c.relname, a.attname
from pg_catalog.pg_class as c
inner join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
inner join pg_catalog.pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where n.nspname = 'mart' and c.relkind in ('r', 'p') and not c.relispartition and c.relname like '%%\\_history'
    and a.attnotnull and a.attname <> 'etl_valid_from' and a.atttypid = 'text'::pg_catalog.regtype
order by 1, 2
"""
_WITH_COLUMN = """
select c.relname
from pg_catalog.pg_class as c
inner join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
inner join pg_catalog.pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where n.nspname = %s and c.relkind in ('r', 'p') and not c.relispartition and a.attname = %s
    and a.atttypid = 'text'::pg_catalog.regtype
"""
_RECEIPT = """
insert into replicator.erasure (stream, collection, cluster_time, erased, kept) values (%s, %s, %s, %s, %s) returning id
"""


class NotYet(Retryable):
    """The stream is not as far as the delete, or a snapshot is under way."""


@dataclass(frozen=True, slots=True)
class ErasedDocument:
    """What is erased. ``mart_keys`` are values by which marts may know it, besides what its rows hold.

    ``gone_at`` is a cluster time at which MongoDB had no such document; ``traces`` are forms in which a position may
    hold its ``_id``.
    """

    collection: Registered
    key: str
    gone_at: int
    mart_keys: tuple[str, ...] = ()
    traces: tuple[str, ...] = ()

    @property
    def tables(self) -> tuple[str, ...]:
        """The collection's tables."""
        return self.collection.tables or (self.collection.table_name,)


@dataclass(slots=True)
class Receipt:
    """What was erased and what was kept, in rows by table."""

    id: int = 0
    cluster_time: int = 0
    erased: dict[str, int] = field(default_factory=dict)
    kept: dict[str, int] = field(default_factory=dict)


def erase(connection: Connection, schema: str, stream: str, document: ErasedDocument) -> Receipt:
    """Erase everything of one document, and prove it, in one transaction.

    Raises :class:`NotYet` when it could come back by itself, :class:`Fatal` when something of it cannot be deleted.
    """
    try:
        with translated():
            connection.execute(f"begin; set local lock_timeout = '{_LOCK_SECONDS}s'")
        receipt = _Erasure(connection, schema, stream, document).run()
        with translated():
            connection.execute("commit")
    except BaseException:
        if not connection.closed:
            connection.execute("rollback")
        raise
    return receipt


class _Erasure:
    """The transaction."""

    def __init__(self, connection: Connection, schema: str, stream: str, document: ErasedDocument) -> None:
        self._connection = connection
        self._schema = schema
        self._stream = stream
        self._document = document
        self._receipt = Receipt()

    def run(self) -> Receipt:
        document = self._document
        tables = self._existing(document.tables)
        if tables:
            listed = sql.SQL(", ").join(sql.Identifier(self._schema, name) for name in tables)
            self._execute(sql.SQL("lock table {} in share row exclusive mode").format(listed))
        position = self._position()
        marts = [(str(mart), str(column)) for mart, column in self._execute(sql.SQL(_MARTS))]
        values = {column: self._values(tables, column) for column in sorted({column for _, column in marts})}
        for name in reversed(tables):
            self._delete(sql.Identifier(self._schema, name), f"{self._schema}.{name}", sql.SQL("_id = %(key)s"), {})
        if any(self._receipt.erased.values()):
            # Rows that the stream has left: nobody has told who computes from them.
            journal = Journal(self._connection, self._schema, self._stream)
            journal.begin()
            journal.note(journal.anything(tables))
        for name, condition in _CONTROL.items():
            self._delete(sql.Identifier(*name.split(".")), name, condition, {})
        self._execute(sql.SQL(_FORGET_PLACE))
        for mart, column in marts:
            self._erase_of_mart(mart, column, values[column])
        self._receipt.cluster_time = position.cluster_time
        parameters = (
            self._stream,
            document.collection.collection,
            position.cluster_time,
            Jsonb(self._receipt.erased),
            Jsonb(self._receipt.kept),
        )
        with translated():
            row = self._connection.execute(_RECEIPT, parameters).fetchone()
        self._receipt.id = row[0] if row else 0
        return self._receipt

    def _position(self) -> Position:
        """The checkpoint, held; behind the delete, so that the stream brings nothing of the document any more."""
        checkpoint = read_checkpoint(self._connection, self._stream, lock=True)
        position = None if checkpoint is None else checkpoint.position
        if position is None or position.cluster_time < self._document.gone_at:
            raise NotYet(
                "the stream has not come to the delete of this document yet",
                hint="Let the service run ('replicator status' shows its lag), then erase again.",
            )
        if self._document.collection.state is CollectionState.SNAPSHOTTING:
            raise NotYet("the collection is being read", hint="Erase again when its snapshot is complete.")
        token = str(position.resume_token.get("_data", "")).lower()
        if any(trace in token for trace in self._document.traces):
            raise NotYet(
                "the position still names this document, the last that changed",
                hint="Erase again after the next change or the next heartbeat of MongoDB (10 seconds).",
            )
        return position

    def _existing(self, names: Sequence[str]) -> list[str]:
        query = sql.SQL(
            "select c.relname from pg_catalog.pg_class as c "
            "inner join pg_catalog.pg_namespace as n on n.oid = c.relnamespace "
            "where n.nspname = %(schema)s and c.relname = any(%(names)s) and c.relkind in ('r', 'p')"
        )
        found = {name for (name,) in self._execute(query, {"schema": self._schema, "names": list(names)})}
        return [name for name in names if name in found]

    def _values(self, tables: Sequence[str], column: str) -> list[str]:
        """By what values a mart knows the document: its key, what was given, what its rows have in this column."""
        values = {self._document.key, *self._document.mart_keys}
        with_column = {name for (name,) in self._with_column(column)}
        for name in tables:
            if name in with_column:
                query = sql.SQL("select distinct {} from {} where _id = %(key)s").format(
                    sql.Identifier(column), sql.Identifier(self._schema, name)
                )
                values |= {str(value) for (value,) in self._execute(query) if value is not None}
        return sorted(values)

    def _erase_of_mart(self, mart: str, column: str, values: Sequence[str]) -> None:
        """Delete all versions of keys that nothing replicated has any more."""
        kept = set()
        for (name,) in self._with_column(column):
            query = sql.SQL("select {0}, count(*) from {1} where {0} = any(%(values)s) group by 1").format(
                sql.Identifier(column), sql.Identifier(self._schema, name)
            )
            for value, count in self._execute(query, {"values": list(values)}):
                kept.add(value)
                self._receipt.kept[f"{self._schema}.{name}"] = count
        left = [value for value in values if value not in kept]
        condition = sql.SQL("{} = any(%(left)s)").format(sql.Identifier(column))
        self._delete(sql.Identifier("mart", mart), f"mart.{mart}", condition, {"left": left})
        # The mart has no row of these any more, so it need not be told that they have changed.
        noted = sql.SQL("stream = %(stream)s and key_column = {} and key = any(%(left)s)").format(sql.Literal(column))
        self._delete(sql.Identifier("replicator", "changed_key"), "replicator.changed_key", noted, {"left": left})

    def _with_column(self, column: str) -> list[tuple[str]]:
        with translated():
            return self._connection.execute(_WITH_COLUMN, (self._schema, column)).fetchall()

    def _delete(self, table: sql.Identifier, name: str, where: sql.SQL | sql.Composed, more: dict[str, object]) -> None:
        """Delete, and look again: somebody's trigger or rule may have made nothing of it."""
        count = sql.SQL("select count(*) from {} where {}").format(table, where)
        ((found,),) = self._execute(count, more)
        if found:
            self._execute(sql.SQL("delete from {} where {}").format(table, where), more)
            ((left,),) = self._execute(count, more)
            if left:
                raise Fatal(
                    f"rows of {name} cannot be deleted: a rule or a trigger of somebody prevents it",
                    hint=f"Look at the rules and triggers of {name}; nothing was erased.",
                )
        self._receipt.erased[name] = self._receipt.erased.get(name, 0) + found

    def _execute(self, query: sql.SQL | sql.Composed, more: dict[str, object] | None = None) -> list[tuple[Any, ...]]:
        document = self._document
        parameters = {"stream": self._stream, "collection": document.collection.collection, "key": document.key}
        with translated():
            cursor = self._connection.execute(query, {**parameters, **(more or {})})
            return cursor.fetchall() if cursor.description else []


class StillThere(ReplicatorError):
    """The document exists in MongoDB: what is erased here would come back."""

    exit_code = 1
