"""Whatever is done to the tables by hand: exactly that is reported, and a repair undoes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import bson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replicator_service.core.codec.key import encode_key
from replicator_service.core.mapping.model import DocumentCollection
from replicator_service.core.naming import schema_name
from tests.support.oracle import differences
from tests.support.reconciliation import MAPPING, MIXED_IDS, ORDERS, corrupt, order, reconciled
from tests.support.replication import documents_at, replicating

if TYPE_CHECKING:
    from psycopg import Connection

    from tests.support.databases import Sink, Source

KEYS = [encode_key(key) for key in MIXED_IDS]


@dataclass(frozen=True)
class Corruption:
    """A statement on the rows of one key, and what it makes of a row that is right."""

    statement: str
    collection: str
    kind: str


CORRUPTIONS = [
    Corruption("delete from {orders} where _id = %s", "Orders", "missing"),
    Corruption("update {orders} set city = 'elsewhere' where _id = %s", "Orders", "different"),
    Corruption("update {orders} set number = null where _id = %s", "Orders", "different"),
    Corruption("update {orders} set tags = tags || array['more'] where _id = %s", "Orders", "different"),
    Corruption(
        "update {orders} set details = jsonb_set(details, '{{gift}}', 'null') where _id = %s", "Orders", "different"
    ),
    Corruption("delete from {order_items} where _id = %s and _ordinal = 0", "Orders", "different"),
    Corruption("delete from {order_items} where _id = %s", "Orders", "different"),
    Corruption("update {order_items} set _ordinal = _ordinal + 10 where _id = %s", "Orders", "different"),
    Corruption("update {order_items} set _extra = '1' where _id = %s and _ordinal = 0", "Orders", "different"),
    Corruption("update {orders} set _id = _id || ' by hand' where _id = %s", "Orders", "missing"),
    Corruption("delete from {notes} where _id = %s", "notes", "missing"),
    Corruption("update {notes} set doc = doc || '{{\"n\": {{}}}}' where _id = %s", "notes", "different"),
    Corruption("update {notes} set _bson = '\\x00' where _id = %s", "notes", "different"),
    Corruption(
        "insert into {notes} select _id || ' by hand', doc, _bson, now() from {notes} where _id = %s",
        "notes",
        "unexpected",
    ),
]


def expected_of(done: list[tuple[Corruption, str]]) -> dict[tuple[str, str], str]:
    """What a reconciliation has to say of at most one corruption for each key and collection."""
    found = {}
    for corruption, key in done:
        if corruption.kind != "unexpected":
            found[corruption.collection, key] = corruption.kind
        if "by hand" in corruption.statement:
            found[corruption.collection, key + " by hand"] = "unexpected"
        if corruption.statement.startswith("update {orders} set _id"):
            # The child rows stay where they were.
            found[corruption.collection, key] = "missing"
    return found


def expect_oracle_satisfied(connection: Connection[Any], source: Source) -> None:
    """PostgreSQL itself compares with what the documents become."""
    for mapping in (ORDERS, DocumentCollection("notes", "notes")):
        documents = documents_at(source, mapping.collection).values()
        assert differences(connection, schema_name(source.name), mapping, documents) == []


def test_exactly_what_was_corrupted_is_reported_and_repaired(source: Source, sink: Sink) -> None:
    ids = MIXED_IDS
    source.db.Orders.insert_many([{"_id": key, **order(number)} for number, key in enumerate(ids)])
    source.db.notes.insert_many([{"_id": key, "n": bson.Int64(number)} for number, key in enumerate(ids)])

    with replicating(source, sink, MAPPING) as replication:
        replication.catch_up()

        @settings(
            max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
        )
        @given(
            st.lists(
                st.tuples(st.sampled_from(CORRUPTIONS), st.sampled_from(KEYS)),
                max_size=15,
                unique_by=lambda pair: (pair[0].collection, pair[1]),
            )
        )
        def check(chosen: list[tuple[Corruption, str]]) -> None:
            with sink.connect() as connection:
                for corruption, key in chosen:
                    assert corrupt(connection, source, corruption.statement, key), (corruption, key)
                found = reconciled(replication, repair=True)
                assert found.kinds == expected_of(chosen)
                assert found.unrepaired == set()
                assert reconciled(replication).kinds == {}
            with sink.connect(autocommit=False) as connection:
                expect_oracle_satisfied(connection, source)

        check()
