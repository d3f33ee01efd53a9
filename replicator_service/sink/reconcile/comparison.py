"""Rows are compared in two ways, both in the transaction that the caller has opened.

PostgreSQL prints the rows of some keys, and who knows how they should be printed compares bytes. Or PostgreSQL
compares: expected rows are copied into temporary tables and joined with those that are there; what is equal is then its
own notion (``is distinct from``), unless asked for more. Nothing but temporary tables is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg import sql

from replicator_service.core.codec.copy_text import escape
from replicator_service.sink.connect.copy_out import copy_out
from replicator_service.sink.errors import translated
from replicator_service.sink.write.array_text import array_text
from replicator_service.sink.write.statements import beside_parameters, plan_by_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from replicator_service.core.lines import Lines
    from replicator_service.core.mapping.model import TableSpec
    from replicator_service.sink.connect.connection import Connection

_NOT_COMPARED = frozenset({"_id", "_ordinal", "etl_valid_from"})
_KEYS = sql.Identifier("pg_temp", "reconciled_keys")
_FETCH = 1_000


@dataclass(frozen=True, slots=True)
class RowDifference:
    """One row that differs: absent from the table, absent from what is expected, or with other values in columns."""

    table: int
    key: str
    is_missing: bool
    is_extra: bool
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RowVersion:
    """One row as a transaction left it: ``version`` changes whenever the row is written."""

    table: int
    key: str
    version: str


class Comparison:
    """Compares the tables of one collection, the parent first, with expected lines of COPY text.

    ``deep`` compares how values are written besides: 1 and 1.0 in jsonb, the scale of numbers, the sign of zero.
    """

    def __init__(self, connection: Connection, schema: str, tables: Sequence[TableSpec], *, deep: bool) -> None:
        self._connection = connection
        self._tables = tables
        self._targets = [sql.Identifier(schema, table.name) for table in tables]
        self._beside_parameters = [beside_parameters(schema, table.name) for table in tables]
        self._expected = [sql.Identifier("pg_temp", f"reconciled_{number}") for number in range(len(tables))]
        self._differing = [
            _differing(number, self._expected, target, table, deep=deep)
            for number, (target, table) in enumerate(zip(self._targets, tables, strict=True))
        ]

    def prepare(self) -> None:
        """Make the temporary tables anew. Call it outside a transaction."""
        with translated():
            for name, table in zip(self._expected, self._tables, strict=True):
                self._connection.execute(sql.SQL("drop table if exists {}").format(name))
                columns = sql.SQL(", ").join(
                    sql.SQL("{} {}").format(sql.Identifier(column.name), sql.SQL(column.type))
                    for column in table.columns
                )
                self._connection.execute(sql.SQL("create temporary table {} ({})").format(name, columns))
            self._connection.execute(sql.SQL("drop table if exists {}").format(_KEYS))
            self._connection.execute(sql.SQL("create temporary table {} (_id text)").format(_KEYS))

    def exists(self) -> bool:
        """Whether every table is there."""
        with translated():
            for target in self._targets:
                name = target.as_string(self._connection)
                row = self._connection.execute("select to_regclass(%s) is not null", (name,)).fetchone()
                if not (row and row[0]):
                    return False
        return True

    def counts(self) -> list[int]:
        """How many rows each table has."""
        counted = []
        with translated():
            for target in self._targets:
                row = self._connection.execute(sql.SQL("select count(*) from {}").format(target)).fetchone()
                counted.append(int(row[0]) if row else 0)
        return counted

    def compare(self, lines: Sequence[Lines]) -> list[RowDifference]:
        """Compare all rows of some documents; lines are by table.

        Raises :class:`RecordRejected` when PostgreSQL cannot hold one of them; the transaction goes on.
        """
        found: list[RowDifference] = []
        if not lines[0].count:
            return found
        with translated():
            self._connection.execute(
                sql.SQL("savepoint expected; truncate {}").format(sql.SQL(", ").join(self._expected))
            )
            try:
                for name, part in zip(self._expected, lines, strict=True):
                    self._copy(name, part)
            except BaseException:
                if not self._connection.closed:
                    self._connection.execute("rollback to savepoint expected")
                raise
            for number, query in enumerate(self._differing):
                for key, is_missing, is_extra, columns in self._connection.execute(query):
                    found.append(RowDifference(number, key, is_missing, is_extra, tuple(columns)))
            self._connection.execute("release savepoint expected")
        return found

    def printed(self, keys: Sequence[str]) -> list[bytes]:
        """The rows of documents as PostgreSQL prints them, by table: lines of COPY text without ``etl_valid_from``.

        They are in the order of the primary key, which depends on the collation of the database.
        """
        wanted = sql.Literal(array_text(keys))
        texts = []
        with translated():
            self._connection.execute(plan_by_key(only=True))
            for target, table in zip(self._targets, self._tables, strict=True):
                texts.append(copy_out(self._connection, _printing(target, table, wanted)))
            self._connection.execute(plan_by_key(only=False))
        return texts

    def rows_with(self, keys: Sequence[str]) -> list[dict[str, int]]:
        """How many rows each of these keys has, by table."""
        counted = []
        with translated():
            for target in self._beside_parameters:
                query = sql.SQL("select _id, count(*) from {} where _id = any(%s) group by _id").format(target)
                counted.append({key: int(rows) for key, rows in self._connection.execute(query, (list(keys),))})
        return counted

    def expect_keys(self, keys: Iterable[Sequence[str]]) -> int:
        """Take the keys of all documents, for :meth:`unexpected` and return their number."""
        count = 0
        statement = sql.SQL("copy {} from stdin").format(_KEYS)
        with translated():
            self._connection.execute(sql.SQL("truncate {}").format(_KEYS))
            with self._connection.cursor().copy(statement) as copy:
                for some in keys:
                    copy.write(("\n".join(map(escape, some)) + "\n").encode())
                    count += len(some)
            # The planner has to know how many there are: it hashes them, and the server's disk is the limit.
            self._connection.execute(sql.SQL("analyze {}").format(_KEYS))
        return count

    def count_unexpected(self) -> list[int]:
        """How many rows each table has whose key is not expected."""
        counted = []
        with translated():
            for target in self._targets:
                query = sql.SQL("select count(*) from {} as t where {}").format(target, _UNEXPECTED)
                row = self._connection.execute(query).fetchone()
                counted.append(int(row[0]) if row else 0)
        return counted

    def unexpected(self) -> Iterator[list[RowVersion]]:
        """The rows whose key is not expected, all rows of one key together."""
        parts = [
            sql.SQL("select {}::integer as number, t._id, t.xmin::text as version from {} as t where {}").format(
                sql.Literal(number), target, _UNEXPECTED
            )
            for number, target in enumerate(self._targets)
        ]
        query = sql.SQL("select distinct number, _id, version from ({}) as u order by _id, number").format(
            sql.SQL(" union all ").join(parts)
        )
        together: list[RowVersion] = []
        with translated(), self._connection.cursor(name="unexpected") as cursor:
            cursor.itersize = _FETCH
            cursor.execute(query)
            for number, key, version in cursor:
                if together and together[0].key != key:
                    yield together
                    together = []
                together.append(RowVersion(number, key, version))
        if together:
            yield together

    def _copy(self, name: sql.Identifier, lines: Lines) -> None:
        if not lines.count:
            return
        with self._connection.cursor().copy(sql.SQL("copy {} from stdin").format(name)) as copy:
            for piece in lines.pieces():
                copy.write(piece)


_UNEXPECTED = sql.SQL("not exists (select from {} as k where k._id = t._id)").format(_KEYS)


def _differing(
    number: int, expected: Sequence[sql.Identifier], target: sql.Identifier, table: TableSpec, *, deep: bool
) -> sql.Composed:
    """The query for rows that differ. ``offset 0`` makes the planner look each key up, whatever it thinks of sizes."""
    compared = [column.name for column in table.columns if column.name not in _NOT_COMPARED]
    form = sql.SQL("{}.{}::text" if deep else "{}.{}")
    left, right = (
        [form.format(sql.Identifier(side), sql.Identifier(name)) for name in compared] for side in ("e", "t")
    )
    columns = sql.SQL(", ").join(
        sql.SQL("case when {} is distinct from {} then {} end").format(one, other, sql.Literal(name))
        for one, other, name in zip(left, right, compared, strict=True)
    )
    differ = sql.SQL("({}) is distinct from ({})").format(sql.SQL(", ").join(left), sql.SQL(", ").join(right))
    is_child = len(table.primary_key) > 1
    return sql.SQL(
        "select coalesce(e._id, t._id), t._id is null, e._id is null, "
        "case when e._id is null or t._id is null then '{{}}'::text[] else array_remove(array[{}], null) end "
        "from {} where e._id is null or t._id is null or {}"
    ).format(columns, (_child_join if is_child else _parent_join)(number, expected, target, table), differ)


def _printing(target: sql.Identifier, table: TableSpec, keys: sql.Literal) -> sql.Composed:
    """What prints the rows of the keys in an array, in the order of the primary key.

    One walk over the index: a look-up of each key costs several times as much.
    """
    return sql.SQL("copy (select {} from {} where _id = any({}::text[]) order by {}) to stdout").format(
        _columns(table), target, keys, sql.SQL(", ").join(map(sql.Identifier, table.primary_key))
    )


def _parent_join(
    number: int, expected: Sequence[sql.Identifier], target: sql.Identifier, table: TableSpec
) -> sql.Composed:
    return sql.SQL("{} as e left join lateral (select {} from {} where {}._id = e._id offset 0) as t on true").format(
        expected[number], _columns(table), target, target
    )


def _child_join(
    number: int, expected: Sequence[sql.Identifier], target: sql.Identifier, table: TableSpec
) -> sql.Composed:
    return sql.SQL(
        "{} as e full join (select t.* from {} as k "
        "cross join lateral (select {} from {} where {}._id = k._id offset 0) as t) as t "
        "on t._id = e._id and t._ordinal = e._ordinal"
    ).format(expected[number], expected[0], _columns(table), target, target)


def _columns(table: TableSpec) -> sql.Composed:
    return sql.SQL(", ").join(
        sql.Identifier(column.name) for column in table.columns if column.name != "etl_valid_from"
    )
