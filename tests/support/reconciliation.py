"""Corruption planted by hand, traffic meanwhile, and what a reconciliation says of both."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bson import Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Timestamp
from bson.datetime_ms import DatetimeMS
from psycopg import sql

from replicator_service.core.mapping.model import ChildTable, ColumnType, MappedColumn, Mapping, TypedCollection
from replicator_service.core.naming import schema_name
from replicator_service.reconcile import Options, RunResult, differences_of, reconcile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from psycopg import Connection

    from tests.support.databases import Sink, Source
    from tests.support.replication import Replication

ORDERS = TypedCollection(
    "Orders",
    "orders",
    (
        MappedColumn("number", ("number",), ColumnType.INTEGER),
        MappedColumn("total", ("total",), ColumnType.NUMERIC),
        MappedColumn("city", ("address", "city"), ColumnType.TEXT),
        MappedColumn("tags", ("tags",), ColumnType.TEXT_ARRAY),
        MappedColumn("details", ("details",), ColumnType.JSONB),
        MappedColumn("at", ("at",), ColumnType.TIMESTAMPTZ),
    ),
    (
        ChildTable(
            "order_items",
            ("items",),
            (
                MappedColumn("number", ("number",), ColumnType.INTEGER, from_parent=True),
                MappedColumn("sku", ("sku",), ColumnType.TEXT),
                MappedColumn("amount", ("amount",), ColumnType.INTEGER),
            ),
        ),
    ),
)
MAPPING = Mapping((ORDERS,))
"""One collection of typed tables with a child; every other one is a document table."""

AN_OBJECT_ID = ObjectId("0123456789abcdef01234567")
MIXED_IDS: list[Any] = [
    *(MinKey(), MaxKey(), None, True, False, float("nan"), float("inf"), 1, "1", 2.5, Int64(2**40), Decimal128("1E+3")),
    *(AN_OBJECT_ID, str(AN_OBJECT_ID), "", "$number:1", "tab\tand\\", "x" * 3_000, "nul\0", "é漢😀"),
    *({"a": 1, "b": [1, "2"]}, {"b": [1, "2"], "a": 1}, {}, Binary(b"raw"), Binary(b"\x01" * 16, 4), Code("x")),
    *(DatetimeMS(0), DatetimeMS(-(2**60)), Timestamp(1, 2), ObjectId("ffffffffffffffffffffffff")),
]
"""One ``_id`` of every kind, the ends of every order and some that other programs mix up."""


def order(number: int) -> dict[str, Any]:
    """A document that fills every column, with a child row for each of its items."""
    return {
        "number": number,
        "total": Decimal128(f"{number}.50"),
        "address": {"city": f"City {number}", "zip": f"{number:05d}"},
        "tags": ["a", f"t{number}"],
        "details": {"gift": False, "weight": number / 4},
        "at": DatetimeMS(1_700_000_000_000 + number),
        "items": [{"sku": f"s{number}-{each}", "amount": each + 1} for each in range(number % 4 + 1)],
    }


class Reconciled:
    """One reconciliation: the result, and every stored difference by collection and key."""

    def __init__(self, replication: Replication, result: RunResult) -> None:
        self.result = result
        stored = differences_of(replication.settings, result.id, limit=100_000)
        self.kinds = {(collection, each.key): each.kind.value for collection, each in stored}
        self.details = {(collection, each.key): each.detail for collection, each in stored}
        self.unrepaired = {(collection, each.key) for collection, each in stored if not each.repaired}


def reconciled(replication: Replication, *, collections: list[str] | None = None, **options: Any) -> Reconciled:
    """Reconcile what a test replicates."""
    chosen = Options(**{"timeout_seconds": 20.0, **options})
    result = reconcile(replication.settings, replication.mapping, collections=collections, options=chosen)
    return Reconciled(replication, result)


def corrupt(connection: Connection[Any], source: Source, statement: str, *parameters: object) -> int:
    """Change replicated tables behind the service's back; ``{table}`` in the statement is a table of the source."""
    schema = schema_name(source.name)
    tables = {name: sql.Identifier(schema, name) for name in ("orders", "order_items", "notes", "odd", "mixed")}
    return connection.execute(sql.SQL(statement).format(**tables), parameters or None).rowcount


@contextmanager
def traffic(write: Callable[[int], object]) -> Iterator[None]:
    """Call ``write`` with growing numbers, on and on, until the end of the block."""
    stopping = threading.Event()
    failures: list[BaseException] = []

    def run() -> None:
        number = 0
        try:
            while not stopping.is_set():
                write(number)
                number += 1
        except BaseException as error:  # noqa: BLE001 - raised by the test's thread below
            failures.append(error)

    thread = threading.Thread(target=run, name="traffic", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(20.0)
    if failures:
        raise failures[0]


def rows(sink: Sink, source: Source, table: str) -> int:
    """How many rows a table has."""
    with sink.connect() as connection:
        query = sql.SQL("select count(*) from {}").format(sql.Identifier(schema_name(source.name), table))
        row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0
