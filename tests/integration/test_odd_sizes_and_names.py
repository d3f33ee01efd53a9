"""Large, deep and wide documents, and names that other databases would not take."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from bson import Binary
from pymongo.errors import WriteError

from tests.integration.test_odd_documents import assert_no_dead_letters, differences, inserted
from tests.support.bson_bytes import document, element, integer
from tests.support.bson_corpus import corpus
from tests.support.limits import LIVELY
from tests.support.replication import replicating
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.databases import Sink, Source

MEGABYTE = 2**20
TRANSACTION_TOO_LARGE_FOR_CACHE = 388


def tables_by_collection(source: Source, sink: Sink) -> dict[str, str]:
    with sink.connect() as connection:
        query = "select collection, table_name from replicator.collection where stream = %s"
        return dict(connection.execute(query, (source.name,)).fetchall())


def test_snapshots_in_single_documents_pass_every_kind_of_id(source: Source, sink: Sink) -> None:
    """Each chunk begins where the last one ended, so every `_id` is the place of a chunk once."""
    values = {kind: (name, value) for name, kind, value in corpus() if "alone" in name or kind not in (2, 0x0E)}
    ids = [(kind, value) for kind, (_, value) in values.items()]
    ids += [(kind, value) for name, kind, value in corpus() if "reference" in name or "date" in name or kind == 2]
    documents = [document(element(kind, "_id", value), integer("n", 1)) for kind, value in ids]
    taken = inserted(source, "things", documents)
    assert taken > 60
    with replicating(source, sink, limits=replace(LIVELY, chunk_documents=1)) as replication:
        replication.catch_up(60)
        assert differences(source, sink, "things") == []
        assert_no_dead_letters(sink)


def test_deep_and_wide_documents_arrive(source: Source, sink: Sink) -> None:
    deep: Any = {"end": True}
    lists: Any = [1]
    for _ in range(95):
        deep, lists = {"down": deep}, [lists]
    documents: list[dict[str, Any]] = [
        {"_id": "deep", "v": deep},
        {"_id": "lists", "v": lists},
        {"_id": "wide", **{f"field_{number}": number for number in range(2_000)}},
        {"_id": "wider", "v": {f"field_{number}": None for number in range(20_000)}},
        {"_id": "long", "v": list(range(100_000))},
        {"_id": {"deep": deep}},
    ]
    source.db.loaded.insert_many(documents)
    with replicating(source, sink, limits=LIVELY) as replication:
        source.db.streamed.insert_many(documents)
        for each in documents:
            source.db.updated.insert_one({"_id": each["_id"]})
            source.db.updated.update_one({"_id": each["_id"]}, {"$set": {"more": each}})
        replication.catch_up()
        for collection in ("loaded", "streamed", "updated"):
            assert differences(source, sink, collection) == []
        assert_no_dead_letters(sink)


def _large(number: int, room: int) -> dict[str, Any]:
    """A document of about this size whose content changes with its number."""
    match number % 4:
        case 0:
            return {"_id": number, "v": "é" * (room // 2)}
        case 1:
            return {"_id": number, "v": Binary(bytes([number]) * room)}
        case 2:
            return {"_id": number, "v": "a\0\t\\" * (room // 4)}
        case _:
            return {"_id": number, "v": [{"n": "x" * 200} for _ in range(room // 240)]}


def written(write: Callable[[], object]) -> None:
    """Write, as soon as the small cache of the test's server has room for it."""

    def is_written() -> bool:
        try:
            write()
        except WriteError as error:
            if error.code != TRANSACTION_TOO_LARGE_FOR_CACHE:
                raise
            return False
        return True

    wait_until(is_written, timeout=30, message="room in the server's cache")


def test_documents_of_sixteen_megabytes_arrive(source: Source, sink: Sink) -> None:
    """In the first load and in the stream: some of half that size, and one whose event the server has to split."""
    room = 8 * MEGABYTE
    loaded, streamed = source.db.loaded, source.db.streamed
    for number in range(2):
        written(partial(loaded.insert_one, _large(number, room)))
    with replicating(source, sink, limits=LIVELY) as replication:
        for number in range(1, 4):
            written(partial(streamed.insert_one, _large(number, room)))
        written(partial(streamed.replace_one, {"_id": 3}, _large(4, room) | {"_id": 3}))
        written(partial(streamed.update_one, {"_id": 1}, {"$set": {"v": "x" * (16 * MEGABYTE - 1_000)}}))
        source.db.streamed.insert_one({"_id": "behind"})
        replication.catch_up(90)
        for collection in ("loaded", "streamed"):
            assert differences(source, sink, collection) == []
        assert_no_dead_letters(sink)


NAMES = (
    *("a.b", "a.b.c", "a_b", "A_B", "aB", "UserSessions", "user_sessions", "user.sessions", "User Sessions", "-", "1"),
    *(
        "select",
        "table",
        "user",
        "Order",
        "ctid",
        "é",
        "漢字",
        "😀",
        "%s",
        "%",
        "{}",
        "'",
        '"',
        '";drop table x',
        "\\",
        "a\tb",
    ),
    *(
        "x" * 63,
        "x" * 64 + "a",
        "x" * 64 + "b",
        "é" * 100,
        "things_pkey",
        "things",
        "pg_class",
        "replicator.checkpoint",
    ),
    *("_id", "doc", "tmp", "system_x", "null", "a..b", "$", "a$b", "a%20b", "\u202e"),
)


def test_collections_of_any_name_have_a_table_of_their_own(source: Source, sink: Sink) -> None:
    loaded = [name for name in NAMES if inserted(source, name, [document(integer("_id", 0))])]
    assert len(loaded) > 35
    with replicating(source, sink, limits=LIVELY) as replication:
        for number, name in enumerate(loaded):
            source.db.command({"insert": name, "documents": [{"_id": 1, "n": number}]})
            source.db.command({"update": name, "updates": [{"q": {"_id": 0}, "u": {"$set": {"n": number}}}]})
        replication.catch_up()
        tables = tables_by_collection(source, sink)
        assert tables.keys() == set(loaded)
        assert len(set(tables.values())) == len(loaded)
        for name, table in tables.items():
            assert differences(source, sink, name, table) == [], name
        for name in loaded[::2]:
            source.db.command({"drop": name})
        replication.catch_up()
        for name, table in tables.items():
            assert differences(source, sink, name, table) == [], name


@contextmanager
def named(source: Source, name: str) -> Iterator[Source]:
    """The same server with a database of this name."""
    try:
        yield replace(source, name=name, db=source.client[name])
    finally:
        source.client.drop_database(name)


@pytest.mark.parametrize("name", ["Ödd-%s'{}", "pg_{}", "mart", "replicator", "UPPER-{}", "é" * 20 + "{}", "select"])
def test_databases_of_any_name_have_a_schema_of_their_own(source: Source, sink: Sink, name: str) -> None:
    with named(source, name.format(secrets.token_hex(3))) as odd:
        odd.db.things.insert_one({"_id": 1})
        with replicating(odd, sink, limits=LIVELY) as replication:
            odd.db.things.insert_one({"_id": 2})
            odd.db.things.update_one({"_id": 1}, {"$set": {"n": 1}})
            replication.catch_up()
            assert differences(odd, sink, "things") == []
