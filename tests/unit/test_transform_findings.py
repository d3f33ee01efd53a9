"""What a transform says about documents that its mapping does not cover, and that it never tells a value."""

from __future__ import annotations

import threading
from typing import Any

import bson
import pytest
from bson.dbref import DBRef

from replicator_service.core.mapping.loader import load_mapping
from replicator_service.core.schema_findings import MAX_PATHS, OTHERS, FindingKind, PathCount, path_of, path_text
from replicator_service.core.transform import Transform, compile_transform
from tests.support import bson_bytes
from tests.support.transforms import write

FILE = """
version: 1
collections:
  Sessions:
    columns:
      user_id: text
      pages: text[]
      status: {path: details.status, type: integer}
    children:
      messages:
        columns:
          user_id: {from: parent, type: text}
          kind: {from: parent, type: integer}
          sender: text
          at: timestamptz
"""


def transform() -> Transform:
    (typed,) = load_mapping(FILE, name="test.yml").collections
    return compile_transform(typed)


def found(*documents: dict[str, Any]) -> dict[str, int]:
    """Findings as `kind path`, with their counts."""
    using = transform()
    for number, document in enumerate(documents):
        write(using, bson.encode({"_id": number, **document}), [[], []])
    return {f"{each.kind} {each.path}": each.count for each in using.take_findings()}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"user_id": "u", "pages": ["a"], "details": {"status": 1}, "messages": [{"sender": "s"}]}, {}),
        ({"user_id": None, "details": {}, "messages": []}, {}),
        ({"user_id": 1001, "pages": [1, None]}, {}),
        ({"user_id": 1.5}, {"misfit user_id": 1}),
        ({"pages": "a"}, {"misfit pages": 1}),
        ({"pages": [{}]}, {"misfit pages": 1}),
        ({"details": {"status": "x", "more": 1}}, {"misfit details.status": 1, "new_field details.more": 1}),
        ({"details": 5}, {"misfit details": 1}),
        ({"messages": {"sender": "s"}}, {"misfit messages": 1}),
        ({"messages": ["s", None, {"at": "late"}]}, {"misfit messages": 2, "misfit messages.at": 1}),
        ({"messages": [{"tone": 1}, {"tone": 2}]}, {"new_field messages.tone": 2}),
        ({"kind": "x"}, {"misfit kind": 1, "new_field kind": 1}),
        ({"a": None, "b.c": 1, "": 2}, {"new_field a": 1, 'new_field ["b.c"]': 1, 'new_field [""]': 1}),
    ],
)
def test_every_value_that_no_column_takes_is_counted_by_its_path(
    document: dict[str, Any], expected: dict[str, int]
) -> None:
    assert found(document) == expected


def test_counts_add_up_over_documents_and_are_given_once() -> None:
    using = transform()
    for number in range(1000):
        write(using, bson.encode({"_id": number, "user_id": 0.5, "new": number}), [[], []])
    expected = {
        PathCount("Sessions", "user_id", FindingKind.MISFIT, 1000),
        PathCount("Sessions", "new", FindingKind.NEW_FIELD, 1000),
    }
    assert set(using.take_findings()) == expected
    assert using.take_findings() == ()
    assert using.altered == 1000


def test_a_document_that_is_decoded_twice_is_counted_once() -> None:
    assert found({"user_id": 0.5, "ref": DBRef("c", 1)}) == {"misfit user_id": 1, "new_field ref": 1}


def test_names_that_are_data_are_bounded_and_never_lose_a_count() -> None:
    counts = found(*({f"key {number}": 1, "pages": 1} for number in range(3000)))
    assert len(counts) == MAX_PATHS + 2
    assert sum(counts.values()) == 6000
    assert counts[f"new_field {OTHERS}"] == 3000 - MAX_PATHS


def test_names_that_postgresql_cannot_hold_are_readable() -> None:
    using = transform()
    raw = bson_bytes.document(bson_bytes.integer("_id", 1), bson_bytes.text("x", b"\xff"))
    write(using, raw.replace(b"\x02x\0", b"\x02\xff\0"), [[], []])
    (only,) = using.take_findings()
    assert only.path == "\ufffd"
    assert len(path_text(("x" * 100_000, "y")).encode()) < 1_000


@pytest.mark.parametrize("path", [("a",), ("a", "b"), ("a.b",), ("",), ("[x",), ("...",), ("a", ""), ('"', "é\n")])
def test_a_path_is_read_as_it_was_written(path: tuple[str, ...]) -> None:
    assert path_of(path_text(path)) == path


def test_what_stands_for_many_paths_is_none() -> None:
    assert path_of(OTHERS) is None
    assert path_of(path_text(("x" * 1000,))) is None


def test_threads_that_share_a_transform_lose_no_count() -> None:
    using = transform()
    taken: list[PathCount] = []

    def work() -> None:
        for number in range(2000):
            write(using, bson.encode({"_id": number, "user_id": 0.5, f"f{number % 7}": 1}), [[], []])
            if number % 50 == 0:
                taken.extend(using.take_findings())

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken.extend(using.take_findings())
    assert sum(each.count for each in taken if each.kind is FindingKind.MISFIT) == 6000
    assert sum(each.count for each in taken if each.kind is FindingKind.NEW_FIELD) == 6000
