"""The SQL text for replicated tables, composed once. Every name is quoted by the driver.

Every statement is qualified down to its functions and operators: collections may be named as catalogs are, and a role
may have any search path.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from replicator_service.core.mapping.model import TableSpec

STAGING = sql.Identifier("pg_temp", "replicator_staging")
"""Lines of all tables as text: ``target`` says which table's. No catalog is named so: those begin with ``pg_``."""


@dataclass(frozen=True, slots=True)
class MergeStatements:
    """One kind of merge, by where its rows come from.

    Each gives one row: how many rows were to be written, and how many are in the table as they should be.
    ``staged`` takes the target's number; ``arrays`` takes one ``text[]`` a column.
    """

    staged: bytes
    arrays: bytes


@dataclass(frozen=True, slots=True)
class Statements:
    """How one table is written; child tables are those with more than one key column.

    ``write`` writes every row, ``write_different`` those that differ from what is stored. ``keep`` (child tables)
    deletes the elements that documents do not have: keys, and how many each has. ``delete`` takes keys.
    """

    copy: bytes
    write: MergeStatements
    write_different: MergeStatements
    keep: bytes
    delete: bytes

    def merge(self, *, only_different: bool) -> MergeStatements:
        """The statements of one kind of merge."""
        return self.write_different if only_different else self.write


def compose(schema: str, table: TableSpec) -> Statements:
    """Compose the statements of a table."""
    target = beside_parameters(schema, table.name)
    columns = _list("{}", (column.name for column in table.columns))
    return Statements(
        copy=sql.SQL("copy {} ({}) from stdin")
        .format(
            sql.Identifier(schema, table.name),
            sql.SQL(", ").join(sql.Identifier(column.name) for column in table.columns),
        )
        .as_bytes(),
        write=_both_merges(target, columns, table, only_different=False),
        write_different=_both_merges(target, columns, table, only_different=True),
        keep=_KEEP.format(table=target).as_bytes(),
        delete=sql.SQL("delete from {} where _id = any(%s::text[])").format(target).as_bytes(),
    )


def count_of_keys(schema: str, tables: Sequence[TableSpec]) -> bytes:
    """How many rows each table has of some keys, one row of numbers; takes one ``text[]`` a table."""
    return _of_each("(select pg_catalog.count(*) from {} where _id = any(%s::text[]))", schema, tables)


def any_of_keys(schema: str, tables: Sequence[TableSpec]) -> bytes:
    """Whether each table has a row of some keys, one row of booleans; takes one ``text[]`` a table."""
    return _of_each("exists (select from {} where _id = any(%s::text[]))", schema, tables)


def beside_parameters(*names: str) -> sql.SQL:
    """Quote a name for a statement with parameters, where the driver would read a ``%`` in it as a placeholder."""
    return sql.SQL(sql.Identifier(*names).as_string().replace("%", "%%"))


def plan_by_key(*, only: bool) -> bytes:
    """For the rest of the transaction, let the planner look keys up in indexes alone, or do as it likes.

    A table without statistics (a first load, before autovacuum has come round) is taken to have two hundred distinct
    values of ``_id``: for fifty keys of a child table it would read the whole table, at every commit.
    """
    value = "off" if only else "on"
    settings = ("enable_seqscan", "enable_hashjoin", "enable_mergejoin")
    calls = (f"pg_catalog.set_config('{name}', '{value}', true)" for name in settings)
    return f"select {', '.join(calls)}".encode()


_KEEP = sql.SQL(
    "delete from {table} as kept using rows from (pg_catalog.unnest(%s::text[]), pg_catalog.unnest(%s::integer[])) "
    "as document (_id, elements) "
    "where kept._id = document._id and kept._ordinal not between 0 and document.elements - 1"
)

_MERGE = sql.SQL("""
with different as materialized (
    select staged.*
    from (select {typed} from {source} offset 0) as staged
    {unless_equal}
),

written as (
    insert into {table} as kept ({columns})
    select {columns} from different
    on conflict ({key}) do update set {assignments}
    returning {stored}
)

select
    pg_catalog.count(different._id),
    pg_catalog.count(*) filter (
        where row({different_values})::record operator(pg_catalog.*=) row({written_values})::record
    )
from different
full join written on {same_written_key}
""")
"""What was written is compared with what is stored: triggers and rules of others can drop or alter rows.

Two rows are equal when their bytes are (``*=``, section "Composite Type Comparison" of the manual): jsonb 1.0 and 1,
0.0 and -0.0 are equal values and different rows. ``offset 0`` keeps the casts from being evaluated twice. A full join
is never a nested loop, which the planner would choose when it takes ten thousand rows for one: nobody analyzes the
staging table.
"""

_UNLESS_EQUAL = sql.SQL("""left join lateral (
        select {stored} from {table} as kept where {same_key} offset 0
    ) as kept on true
    where kept._id is null
        or row({staged_values})::record operator(pg_catalog.*<>) row({kept_values})::record""")
"""``offset 0`` makes the planner look each key up, whatever it thinks of the sizes."""


def _both_merges(target: sql.SQL, columns: sql.Composed, table: TableSpec, *, only_different: bool) -> MergeStatements:
    cells = [f"c{number}" for number, _ in enumerate(table.columns, 1)]
    staged = sql.SQL("{} where target = %s").format(STAGING)
    arrays = sql.SQL("rows from ({}) as line ({})").format(
        sql.SQL(", ").join(sql.SQL("pg_catalog.unnest(%s::text[])") for _ in cells),
        sql.SQL(", ").join(map(sql.Identifier, cells)),
    )
    return MergeStatements(
        *(
            _merge(target, columns, table, source=source, only_different=only_different).as_bytes()
            for source in (staged, arrays)
        )
    )


def _merge(
    target: sql.SQL, columns: sql.Composed, table: TableSpec, *, source: sql.Composed, only_different: bool
) -> sql.Composed:
    key = table.primary_key
    values = [column.name for column in table.columns if column.name not in key]
    # From when a row is valid is no part of what it is.
    compared = [name for name in values if name != "etl_valid_from"]
    stored = _list("kept.{}", (*key, *compared))
    unless_equal = _UNLESS_EQUAL.format(
        stored=stored,
        table=target,
        same_key=_list("kept.{0} = staged.{0}", key, " and "),
        staged_values=_list("staged.{}", compared),
        kept_values=_list("kept.{}", compared),
    )
    return _MERGE.format(
        typed=sql.SQL(", ").join(
            sql.SQL("{}::{} as {}").format(
                sql.Identifier(f"c{number}"), sql.SQL(column.type), beside_parameters(column.name)
            )
            for number, column in enumerate(table.columns, 1)
        ),
        source=source,
        unless_equal=unless_equal if only_different else sql.SQL(""),
        table=target,
        columns=columns,
        key=_list("{}", key),
        assignments=_list("{0} = excluded.{0}", values),
        stored=stored,
        different_values=_list("different.{}", (*key, *compared)),
        written_values=_list("written.{}", (*key, *compared)),
        same_written_key=_list("different.{0} = written.{0}", key, " and "),
    )


def _of_each(form: str, schema: str, tables: Sequence[TableSpec]) -> bytes:
    parts = (sql.SQL(form).format(beside_parameters(schema, table.name)) for table in tables)
    return sql.SQL("select {}").format(sql.SQL(", ").join(parts)).as_bytes()


def _list(form: str, names: Iterable[str], between: str = ", ") -> sql.Composed:
    """The form of each name, quoted for a statement with parameters."""
    return sql.SQL(between).join(sql.SQL(form).format(beside_parameters(name)) for name in names)
