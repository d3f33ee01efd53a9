"""Reconciliation of documents with any `_id`, in collections of any name: no false alarm, and all is repaired."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql

from tests.integration.test_odd_documents import differences, inserted
from tests.support.bson_bytes import document, element, integer
from tests.support.bson_corpus import corpus
from tests.support.limits import LIVELY
from tests.support.reconciliation import reconciled
from tests.support.replication import replicating

if TYPE_CHECKING:
    from tests.support.databases import Sink, Source


def test_rows_of_every_id_are_compared_and_mended(source: Source, sink: Sink) -> None:
    documents = [document(element(kind, "_id", value), integer("n", 1)) for _, kind, value in corpus()]
    for name in ("things", "100%s..b"):
        inserted(source, name, documents)
    with replicating(source, sink, limits=LIVELY) as replication:
        replication.catch_up()
        assert reconciled(replication).kinds == {}
        with sink.connect() as connection:
            query = "select collection, table_name from replicator.collection"
            tables = dict(connection.execute(query).fetchall())
            assert len(tables) == 2
            for table in tables.values():
                target = sql.Identifier(source.name, table)
                connection.execute(sql.SQL("delete from {} where left(md5(_id), 1) < '8'").format(target))
        result = reconciled(replication, repair=True, allow_deletes=1.0)
        assert len(result.kinds) > 100
        assert result.unrepaired == set()
        for collection, table in tables.items():
            assert differences(source, sink, collection, table) == []
