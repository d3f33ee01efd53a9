"""The journal of changed keys: who watches a column learns of every value whose rows have changed, whatever did it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from bson import Decimal128

from replicator_service.core.mapping.model import Mapping
from replicator_service.sink.write import journal
from replicator_service.sink.write.rows import DIRECT_DOCUMENTS
from tests.support.reconciliation import MAPPING, ORDERS, corrupt, order, reconciled
from tests.support.replication import Replication, replicating
from tests.support.waiting import wait_until
from tests.support.watching import Watcher

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.databases import Sink, Source

CITY = ("orders", "city")
SKU = ("order_items", "sku")


@pytest.fixture
def replication(source: Source, sink: Sink) -> Iterator[Replication]:
    """A service that has read three orders of three cities."""
    source.db["Orders"].insert_many([{"_id": n} | order(n) for n in range(3)])
    with replicating(source, sink, MAPPING) as running:
        running.catch_up()
        yield running


@pytest.fixture
def watcher(replication: Replication) -> Watcher:
    """Somebody who watches the cities, since before anything changed."""
    watcher = Watcher(replication.sink, replication.source.name)
    watcher.watch(CITY)
    watcher.wait_until_kept(replication)
    return watcher


def cities(*names: str | None) -> set[tuple[str, str, str | None]]:
    return {(*CITY, name) for name in names}


def test_nothing_is_noted_where_nobody_watches(replication: Replication, source: Source, sink: Sink) -> None:
    source.db["Orders"].update_one({"_id": 1}, {"$set": {"address.city": "Elsewhere"}})
    replication.catch_up()

    with sink.connect() as connection:
        assert connection.execute("select from replicator.changed_key").fetchall() == []


def test_a_row_that_moves_names_both_values(replication: Replication, watcher: Watcher, source: Source) -> None:
    source.db["Orders"].update_one({"_id": 1}, {"$set": {"address.city": "Elsewhere"}})

    assert watcher.read(replication) == cities("City 1", "Elsewhere")


def test_rows_that_come_and_go_name_theirs(replication: Replication, watcher: Watcher, source: Source) -> None:
    source.db["Orders"].delete_one({"_id": 0})
    source.db["Orders"].insert_one({"_id": 7} | order(7))
    source.db["Orders"].insert_one({"_id": 8, "number": 8})

    assert watcher.read(replication) == cities("City 0", "City 7")


def test_elements_of_an_array_count_as_their_document(
    replication: Replication, watcher: Watcher, source: Source
) -> None:
    source.db["Orders"].update_one({"_id": 2}, {"$pop": {"items": 1}})

    assert watcher.read(replication) == cities("City 2")


def test_columns_of_child_tables_are_watched_as_well(replication: Replication, source: Source, sink: Sink) -> None:
    watcher = Watcher(sink, source.name)
    watcher.watch(SKU)
    watcher.wait_until_kept(replication)
    source.db["Orders"].update_one({"_id": 1}, {"$set": {"items": [{"sku": "new"}]}})

    assert watcher.read(replication) == {(*SKU, "s1-0"), (*SKU, "s1-1"), (*SKU, "new")}


def test_values_of_every_type_read_as_the_table_has_them(replication: Replication, source: Source, sink: Sink) -> None:
    columns = ("number", "total", "city", "tags", "details", "at")
    watcher = Watcher(sink, source.name)
    watcher.watch(*(("orders", column) for column in columns))
    watcher.wait_until_kept(replication)
    odd = {"total": Decimal128("7.500E+2"), "address": {"city": 'NULL, tab\tand\\ "%s'}, "tags": ["NULL", "a b", ""]}
    source.db["Orders"].insert_many([{"_id": 9} | order(9) | odd, {"_id": 10, "address": {"city": "NULL"}}])
    replication.catch_up()

    with sink.connect() as connection:
        query = " union ".join(
            f"select 'orders', '{column}', {column}::text from {source.name}.orders "  # noqa: S608 - names of ours
            f"where _id in ('$number:9', '$number:10') and {column} is not null"
            for column in columns
        )
        stored = set(connection.execute(query.encode()).fetchall())
    assert watcher.read() == stored
    assert len(stored) == len(columns) + 1


def test_new_documents_that_are_copied_straight_into_the_table_name_theirs(
    replication: Replication, watcher: Watcher, source: Source
) -> None:
    with source.client.start_session() as session, session.start_transaction():
        new = [{"_id": n, "address": {"city": f"New {n % 7}"}} for n in range(10, 10 + DIRECT_DOCUMENTS)]
        source.db["Orders"].insert_many(new, session=session)

    assert watcher.read(replication) == cities(*(f"New {n}" for n in range(7)))


def test_two_readers_of_one_column_have_a_journal_each(
    replication: Replication, watcher: Watcher, source: Source, sink: Sink
) -> None:
    other = Watcher(sink, source.name, "another")
    other.watch(CITY, SKU)
    other.wait_until_kept(replication)
    source.db["Orders"].delete_one({"_id": 0})

    assert watcher.read(replication) == cities("City 0")
    assert other.read() == {*cities("City 0"), (*SKU, "s0-0")}


def test_a_collection_that_is_dropped_may_have_changed_anything(
    replication: Replication, watcher: Watcher, source: Source
) -> None:
    source.db["Orders"].drop()

    assert None in {key for _, _, key in watcher.read(replication)}


def test_a_collection_that_is_renamed_over_another_may_have_changed_anything(
    replication: Replication, watcher: Watcher, source: Source
) -> None:
    source.db["tmp"].insert_many([{"_id": n} | order(n) for n in range(10, 12)])
    source.db["tmp"].rename("Orders", dropTarget=True)

    found = watcher.read(replication)
    assert found & cities(None) or cities("City 0", "City 1", "City 2", "City 10", "City 11") <= found


def test_a_resync_names_what_it_reads_and_what_it_removes(
    replication: Replication, watcher: Watcher, source: Source, sink: Sink
) -> None:
    with sink.connect() as connection:
        corrupt(connection, source, "update {orders} set city = 'By hand' where _id = '$number:1'")
        corrupt(connection, source, "insert into {orders} (_id, city, etl_valid_from) values ('odd', 'Odd', now())")
        connection.execute(
            "insert into replicator.request (stream, kind, collection) values (%s, 'resync', 'Orders')", [source.name]
        )
    wait_until(lambda: _handled(sink), message="the resync to begin")

    assert cities("By hand", "City 1", "Odd") <= watcher.read_until(replication, (*CITY, "Odd"))


def test_a_large_chunk_is_one_row(
    replication: Replication, watcher: Watcher, sink: Sink, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "MANY_READ", 2)
    with sink.connect() as connection:
        connection.execute(
            "insert into replicator.request (stream, kind, collection) values (%s, 'resync', 'Orders')", [source.name]
        )
    wait_until(lambda: _handled(sink), message="the resync to begin")

    assert watcher.read_until(replication, (*CITY, None)) == cities(None)


def test_a_repair_names_what_it_finds_and_what_it_writes(
    replication: Replication, watcher: Watcher, source: Source, sink: Sink
) -> None:
    with sink.connect() as connection:
        corrupt(connection, source, "update {orders} set city = 'By hand' where _id = '$number:1'")
        corrupt(connection, source, "insert into {orders} (_id, city, etl_valid_from) values ('odd', 'Odd', now())")
    assert watcher.read(replication) == set()

    reconciled(replication, repair=True)
    assert watcher.read() == cities("By hand", "City 1", "Odd")


def test_a_service_that_is_started_again_continues_the_journal(
    replication: Replication, watcher: Watcher, source: Source
) -> None:
    replication.stop()
    source.db["Orders"].update_one({"_id": 1}, {"$set": {"address.city": "Elsewhere"}})
    replication.start()

    assert watcher.read(replication) == cities("City 1", "Elsewhere")


def test_a_table_that_is_renamed_may_have_changed_anything(replication: Replication, watcher: Watcher) -> None:
    watcher.watch(("purchases", "city"))
    watcher.wait_until_kept(replication)
    replication.stop()
    renamed = type(ORDERS)(ORDERS.collection, "purchases", ORDERS.columns, ORDERS.children)
    replication.mapping = Mapping((renamed,))
    replication.start()

    assert {("orders", "city", None), ("purchases", "city", None)} <= watcher.read(replication)


def test_the_writer_does_not_wait_for_a_reader(
    replication: Replication, watcher: Watcher, source: Source, sink: Sink
) -> None:
    source.db["Orders"].delete_one({"_id": 0})
    replication.catch_up()
    late = Watcher(sink, source.name, "late")
    with sink.connect(autocommit=False) as reading:
        reading.execute("delete from replicator.changed_key")
        reading.execute("update replicator.key_watch set reads = reads + 1")
        late.watch(CITY)
        source.db["Orders"].delete_one({"_id": 1})
        replication.catch_up()
        reading.commit()

    assert watcher.read() == cities("City 1")


def test_a_column_that_the_table_does_not_have_stops_nothing(
    replication: Replication, source: Source, sink: Sink
) -> None:
    watcher = Watcher(sink, source.name)
    watcher.watch(("orders", "no such column"), ("no such table", "city"))
    watcher.wait_until_kept(replication)
    source.db["Orders"].delete_one({"_id": 0})

    assert watcher.read(replication) == {("orders", "no such column", None)}


def test_a_watch_that_nobody_reads_is_removed_with_its_rows(
    replication: Replication, source: Source, sink: Sink
) -> None:
    watcher = Watcher(sink, source.name)
    watcher.watch(CITY)
    watcher.wait_until_kept(replication)
    source.db["Orders"].delete_one({"_id": 0})
    replication.catch_up()
    with sink.connect() as connection:
        connection.execute("update replicator.key_watch set read_at = now() - interval '16 days'")

    def is_gone() -> bool:
        source.db["Orders"].update_one({"_id": 1}, {"$inc": {"number": 1}})
        replication.catch_up()
        with sink.connect() as connection:
            query = "select from replicator.key_watch union all select from replicator.changed_key"
            return not connection.execute(query).fetchall()

    wait_until(is_gone, message="the watch to be removed")


def test_a_reader_that_is_far_behind_is_told_that_anything_may_have_changed(
    replication: Replication, watcher: Watcher, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "MOST_DOCUMENTS", 1)
    source.db["Orders"].delete_one({"_id": 0})
    replication.catch_up()
    source.db["Orders"].delete_one({"_id": 1})
    assert watcher.read(replication) == cities("City 0", None)

    # Whoever has read begins anew, once the service has seen that.
    replication.catch_up()
    source.db["Orders"].delete_one({"_id": 2})
    assert watcher.read(replication) == cities("City 2")


def _handled(sink: Sink) -> bool:
    with sink.connect() as connection:
        return not connection.execute("select from replicator.request where handled_at is null").fetchall()
