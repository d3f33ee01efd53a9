"""The servers that the demo and all other tests stand on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.databases import Sink, Source


def test_every_test_gets_an_empty_source_that_takes_documents(source: Source) -> None:
    assert source.db.list_collection_names() == []
    source.db.things.insert_one({"_id": 1})
    assert source.db.things.find_one() == {"_id": 1}


def test_every_test_gets_an_empty_sink_that_takes_tables(sink: Sink) -> None:
    with sink.connect() as connection:
        connection.execute("create table thing (id int)")
        row = connection.execute("select current_setting('server_version_num')::int / 10000").fetchone()
    assert row == (18,)
