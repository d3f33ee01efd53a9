"""The tables of a mapping as SQL text, for people to read and for the sink to run.

Every statement may run again: what exists stays as it is. All names are quoted, so a table called `order` or
`my "logs"` is no special case.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.core.mapping.descriptions import SCHEMA
from replicator_service.core.mapping.model import Mapping, TableSpec, tables_of
from replicator_service.core.naming import index_name, primary_key_name

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

_ALWAYS_SET = frozenset({"etl_valid_from"})


def render_ddl(schema: str, mapping: Mapping) -> str:
    """Write the script that creates the schema and every table of the mapping, in the file's order."""
    statements = [create_schema(schema), comment_on_schema(schema)]
    for collection in mapping.collections:
        for table in tables_of(collection):
            statements += [*create_statements(schema, table), *comment_statements(schema, table)]
    return "".join(f"{statement};\n\n" for statement in statements).rstrip("\n") + "\n"


def create_schema(schema: str) -> str:
    """Write the statement that creates the schema."""
    return f"create schema if not exists {identifier(schema)}"


def comment_on_schema(schema: str) -> str:
    """Write the statement that describes the schema."""
    return f"comment on schema {identifier(schema)} is {literal(SCHEMA)}"


def create_statements(schema: str, table: TableSpec) -> tuple[str, ...]:
    """Write the statements that create one table and its indexes, without semicolons or parameters."""
    return (create_table(schema, table), *(create_index(schema, table.name, columns) for columns in table.indexes))


def comment_statements(schema: str, table: TableSpec, which: Collection[str | None] | None = None) -> tuple[str, ...]:
    """Write the statements that describe a table and its columns; or ``which`` of these, None being the table."""
    place = qualified(schema, table.name)
    told = {None: f"comment on table {place} is {literal(table.comment)}"} | {
        column.name: f"comment on column {place}.{identifier(column.name)} is {literal(column.comment)}"
        for column in table.columns
    }
    return tuple(statement for name, statement in told.items() if which is None or name in which)


def create_index(
    schema: str, table: str, columns: Sequence[str], *, name: str | None = None, concurrently: bool = False
) -> str:
    """Write the statement that creates one index; its name follows from the table and the columns, unless given."""
    named = f"if not exists {identifier(name or index_name(table, columns))}"
    how = "index concurrently" if concurrently else "index"
    return f"create {how} {named} on {qualified(schema, table)} ({listed(columns)})"


def identifier(name: str) -> str:
    """Quote a name of PostgreSQL: in double quotes, double quotes inside doubled."""
    if not name or "\0" in name:
        raise ValueError("a name in PostgreSQL has at least one character, and none is U+0000")
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def literal(text: str) -> str:
    """Quote a text so that it means the same whatever ``standard_conforming_strings`` says."""
    doubled = text.replace("'", "''")
    return "E'" + doubled.replace("\\", "\\\\") + "'" if "\\" in text else f"'{doubled}'"


def qualified(schema: str, name: str) -> str:
    """Quote a name with its schema."""
    return f"{identifier(schema)}.{identifier(name)}"


def create_table(schema: str, table: TableSpec, taken: Collection[str] = ()) -> str:
    """Write the statement that creates one table.

    A key whose name is ``taken`` (a table that was renamed keeps it) is named by PostgreSQL.
    """
    lines = [
        f"{identifier(column.name)} {column.type}"
        + (" not null" if column.name in table.primary_key or column.name in _ALWAYS_SET else "")
        for column in table.columns
    ]
    name = primary_key_name(table.name)
    named = "" if name in taken else f"constraint {identifier(name)} "
    key = f"{named}primary key ({listed(table.primary_key)})"
    body = ",\n".join(f"    {line}" for line in (*lines, key))
    return f"create table if not exists {qualified(schema, table.name)} (\n{body}\n)"


def listed(columns: Sequence[str]) -> str:
    """Quote names of columns and put commas between them."""
    return ", ".join(identifier(column) for column in columns)
