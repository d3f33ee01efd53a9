"""What does not fit the mapping is counted in the commit that writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.core.mapping.model import ColumnType, MappedColumn, Mapping, TypedCollection
from tests.support.replication import replicating

if TYPE_CHECKING:
    from tests.support.databases import Sink, Source

THINGS = TypedCollection("things", "things", (MappedColumn("n", ("n",), ColumnType.INTEGER),))
FOUND = "select path, kind, count from replicator.schema_finding where collection = 'things' order by path"


def test_values_that_do_not_fit_and_fields_without_a_column_are_counted(source: Source, sink: Sink) -> None:
    source.db.things.insert_many([{"n": 1, "colour": "red"}, {"n": "many"}])
    with replicating(source, sink, Mapping((THINGS,))) as replication:
        replication.catch_up()
        source.db.things.insert_one({"n": "more"})
        replication.catch_up()
        with sink.connect() as connection:
            assert connection.execute(FOUND).fetchall() == [("colour", "new_field", 1), ("n", "misfit", 2)]
        source.db.things.drop()
        replication.catch_up()
        with sink.connect() as connection:
            assert connection.execute(FOUND).fetchall() == []
