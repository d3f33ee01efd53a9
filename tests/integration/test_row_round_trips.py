"""How often a commit waits for PostgreSQL, however many collections it writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.support.round_trips import CountingProxy
from tests.support.row_tables import RowTables, delete, insert, read, typed, update

if TYPE_CHECKING:
    from replicator_service.core.events import Change
    from tests.support.databases import Sink

COLLECTIONS = [f"c{number}" for number in range(5)]
CHECKPOINT = 1
"""It is moved before a commit; no row group does that."""


def changes(documents: int) -> list[Change]:
    """Inserts, updates, reads and deletes of parents with children, in every collection."""
    made = []
    for collection in COLLECTIONS:
        for number in range(0, documents, 4):
            one, two, three = ({"_id": number + n, "name": "x", "lines": [{"value": n}] * 3} for n in range(3))
            made += [insert(collection, one), update(collection, two), read(collection, three)]
            made += [delete(collection, number + 3)]
    return made


@pytest.mark.parametrize(("documents", "at_most"), [(4, 5), (400, 8)])
def test_a_commit_over_five_collections_takes_a_handful_of_round_trips(
    sink: Sink, documents: int, at_most: int
) -> None:
    """A long answer begins while its questions are still sent, which counts as one more."""
    with CountingProxy(int(conninfo_to_dict(sink.dsn)["port"] or 0)) as proxy:
        dsn = make_conninfo(sink.dsn, host="127.0.0.1", port=proxy.port)
        tables = RowTables(sink, [typed(name, "lines", "notes") for name in COLLECTIONS], dsn=dsn)
        tables.make()
        tables.write(*changes(400))
        before = proxy.count
        tables.write(*changes(documents))
        assert proxy.count - before + CHECKPOINT <= at_most
        tables.connection.close()
