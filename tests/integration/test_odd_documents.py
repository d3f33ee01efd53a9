"""Every BSON value there is flows through the service, as a value and as an `_id`, and arrives equal."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument
from psycopg import sql
from pymongo.errors import OperationFailure

from replicator_service.core.codec.exact import source_id
from replicator_service.core.codec.key import encode_key
from replicator_service.core.naming import schema_name
from tests.support.bson_bytes import array, document, element, embedded, integer
from tests.support.bson_corpus import corpus
from tests.support.limits import LIVELY
from tests.support.replication import RAW, Replication, replicating
from tests.support.strict_documents import form_of_bson, form_of_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.support.databases import Sink, Source


def command(source: Source, **parts: Any) -> bool:
    """Run a write command; false when the server refuses it."""
    try:
        reply = source.db.command(parts, codec_options=RAW)
    except OperationFailure:
        return False
    return "writeErrors" not in reply


def inserted(source: Source, collection: str, documents: Iterable[bytes]) -> int:
    """Insert documents one by one, as they are and return how many the server takes."""
    return sum(command(source, insert=collection, documents=[RawBSONDocument(each)]) for each in documents)


def differences(source: Source, sink: Sink, collection: str, table: str | None = None) -> list[str]:
    """What differs between a collection and its document table, by every type."""
    documents = documents_of(source, collection)
    expected = {encode_key(source_id(each)): each for each in documents}
    with sink.connect() as connection:
        query = sql.SQL("select _id, doc::text, _bson from {}").format(
            sql.Identifier(schema_name(source.name), table or collection)
        )
        rows = connection.execute(query).fetchall()
    found = {key: (doc, original) for key, doc, original in rows}
    different = [f"missing {key[:200]}" for key in expected.keys() - found.keys()]
    different += [f"unexpected {key[:200]}" for key in found.keys() - expected.keys()]
    for key in expected.keys() & found.keys():
        doc, original = found[key]
        if original is not None:
            is_equal = bytes(original) == expected[key]
        else:
            is_equal = form_of_json(doc) == form_of_bson(expected[key])
        if not is_equal:
            different.append(f"{key[:200]}: {doc[:300]} {original is not None} {expected[key][:300]!r}")
    different += [f"{len(documents)} documents have {len(found)} rows"] * (len(documents) != len(found))
    return different


def documents_of(source: Source, collection: str) -> list[bytes]:
    """All documents, as BSON."""
    cursor = source.db.command({"find": collection, "batchSize": 100_000}, codec_options=RAW)["cursor"]
    found = list(cursor["firstBatch"])
    while cursor["id"]:
        more = {"getMore": Int64(cursor["id"]), "collection": collection}
        cursor = source.db.command(more, codec_options=RAW)["cursor"]
        found += cursor["nextBatch"]
    return [bytes(each.raw) for each in found]


def assert_no_dead_letters(sink: Sink) -> None:
    with sink.connect() as connection:
        dead_letters = connection.execute("select collection, source_id, error from replicator.dead_letter").fetchall()
    assert dead_letters == []


def test_every_value_arrives_by_every_way(source: Source, sink: Sink) -> None:
    cases = [
        document(
            element(0x02, "_id", _text(name)),
            element(kind, "v", value),
            array("list", element(kind, "0", value)),
            embedded("sub", element(kind, "", value)),
            embedded("deep", array("a", embedded("0", element(kind, "b", value)))),
        )
        for name, kind, value in corpus()
    ]
    assert inserted(source, "loaded", cases) > 250
    with replicating(source, sink, limits=LIVELY) as replication:
        inserted(source, "inserted", cases)
        catch_up(replication)
        _update(source)
        _replace(source, cases)
        catch_up(replication)
        for collection in ("loaded", "inserted", "updated", "replaced"):
            assert differences(source, sink, collection) == []
        assert_no_dead_letters(sink)


def _text(name: str) -> bytes:
    encoded = name.encode()
    return (len(encoded) + 1).to_bytes(4, "little") + encoded + b"\0"


def _update(source: Source) -> None:
    """Change a field of one document to each value, and one field of each document to the next value."""
    cases = list(corpus())
    for (name, kind, value), (_, next_kind, next_value) in pairwise(cases):
        before = document(element(0x02, "_id", _text(name)), element(kind, "v", value))
        if not command(source, insert="updated", documents=[RawBSONDocument(before)]):
            continue
        change = document(embedded("$set", element(next_kind, "v", next_value), element(next_kind, "w", next_value)))
        command(source, update="updated", updates=[{"q": {"_id": name}, "u": RawBSONDocument(change)}])


def _replace(source: Source, cases: list[bytes]) -> None:
    for (name, _, _), case in zip(corpus(), cases, strict=True):
        command(source, insert="replaced", documents=[{"_id": name, "old": True}])
        command(source, update="replaced", updates=[{"q": {"_id": name}, "u": RawBSONDocument(case)}])


def catch_up(replication: Replication) -> None:
    report = replication.catch_up()
    assert report.dead_letters == 0


def test_every_value_is_a_key_of_its_own(source: Source, sink: Sink) -> None:
    ids = [*corpus(), *_similar_ids()]
    documents = [document(element(kind, "_id", value), integer("n", 1)) for _, kind, value in ids]
    assert inserted(source, "loaded", documents) > 200
    with replicating(source, sink, limits=LIVELY) as replication:
        inserted(source, "streamed", documents)
        catch_up(replication)
        assert differences(source, sink, "loaded") == []
        assert differences(source, sink, "streamed") == []
        for collection in ("loaded", "streamed"):
            _change_by_id(source, collection, ids)
        catch_up(replication)
        assert differences(source, sink, "loaded") == []
        assert differences(source, sink, "streamed") == []
        assert_no_dead_letters(sink)


def _similar_ids() -> list[tuple[str, int, bytes]]:
    return [
        ("one as text", 0x02, _text("1")),
        ("true as text", 0x02, _text("true")),
        ("tag as text", 0x02, _text("$number:1")),
        ("long text", 0x02, _text("k" * 100_000 + "a")),
        ("another long text", 0x02, _text("k" * 100_000 + "b")),
        ("upper case", 0x02, _text("0123456789ABCDEF01234567")),
        ("order", 0x03, document(integer("a", 1), integer("b", 2))),
        ("other order", 0x03, document(integer("b", 2), integer("a", 1))),
        ("text inside", 0x03, document(element(0x02, "a", _text("1")), integer("b", 2))),
        ("nested key", 0x03, _nested(90)),
        ("nested key, deeper", 0x03, _nested(91)),
    ]


def _nested(levels: int) -> bytes:
    inner = document(integer("a", 1))
    for _ in range(levels):
        inner = document(element(0x03, "a", inner))
    return inner


def _change_by_id(source: Source, collection: str, ids: list[tuple[str, int, bytes]]) -> None:
    """Update a third of the documents, delete a third, and leave the rest; deleted ones partly come back."""
    for number, (_, kind, value) in enumerate(ids):
        query = RawBSONDocument(document(embedded("_id", element(kind, "$eq", value))))
        if number % 3 == 0:
            command(source, update=collection, updates=[{"q": query, "u": {"$set": {"n": number}}}])
        elif number % 3 == 1:
            command(source, delete=collection, deletes=[{"q": query, "limit": 1}])
            if number % 2:
                inserted(source, collection, [document(element(kind, "_id", value), integer("again", number))])
