"""A mart small enough to see all its versions: table ``things`` as it is, key ``id``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from warehouse_jobs.marts import Mart, parse_mart

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psycopg

    Rows = Mapping[str, tuple[str | None, int | None]]

SELECT = "select id, label, amount from things"
DEFINITION: dict[str, object] = {
    "description": "Things as they are.",
    "key": ["id"],
    "columns": [
        {"name": "id", "type": "text", "description": "The thing."},
        {"name": "label", "type": "text", "description": "Its label."},
        {"name": "amount", "type": "integer", "description": "How many there are."},
    ],
}


def things(select: str = SELECT, **changes: object) -> Mart:
    """Build the mart, with other fields of the definition where they are given."""
    return parse_mart("things", DEFINITION | changes, select)


def with_column(name: str, kind: str, **more: object) -> list[object]:
    """Return the columns of the mart and one more."""
    columns = DEFINITION["columns"]
    assert isinstance(columns, list)
    return [*columns, {"name": name, "type": kind, "description": "New."} | more]


def set_things(connection: psycopg.Connection[tuple[object, ...]], rows: Rows) -> None:
    """Make the source hold exactly these rows: key to (label, amount)."""
    with connection.transaction():
        connection.execute("create table if not exists things (id text, label text, amount integer, extra text)")
        connection.execute("delete from things")
        for key, (label, amount) in rows.items():
            connection.execute("insert into things (id, label, amount) values (%s, %s, %s)", [key, label, amount])


def versions(connection: psycopg.Connection[tuple[object, ...]]) -> list[tuple[object, ...]]:
    """Return every version (key, label, amount, from, to) in the order of key and time; days of January as numbers."""
    query = """
        select
            id, label, amount,
            extract(day from etl_valid_from at time zone 'UTC')::integer,
            extract(day from etl_valid_to at time zone 'UTC')::integer
        from mart.things_history
        order by id, etl_valid_from
    """
    return connection.execute(query).fetchall()


def current(connection: psycopg.Connection[tuple[object, ...]]) -> list[tuple[object, ...]]:
    """Return the current rows (key, label, amount) in the order of the key."""
    return connection.execute("select id, label, amount from mart.things order by id").fetchall()
