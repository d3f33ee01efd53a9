"""Row groups: what they are made of, and making parts of them again."""

from __future__ import annotations

from replicator_service.core.mapping.model import DocumentCollection
from replicator_service.core.rows import Encoder
from replicator_service.core.transform import Transform, compile_transform
from tests.support.row_tables import delete, insert, read, typed, update


def test_a_part_is_encoded_again_although_the_collection_is_forgotten() -> None:
    transforms: dict[str, Transform] = {
        "a": compile_transform(typed("a", "l")),
        "b": compile_transform(DocumentCollection("b", "b")),
    }
    changes = [insert("a", {"_id": 1, "l": [{}]}), update("b", {"_id": 2}), update("a", {"_id": 3})]
    group = Encoder(transforms.__getitem__).encode(changes)
    transforms.clear()
    part = group.only(changes[1:])
    assert part.changes == changes[1:]
    assert part.collections["b"] == group.collections["b"]
    assert part.collections["a"].changed == group.collections["a"].changed
    assert part.collections["a"].inserted.keys == []
    assert part.only([changes[2]]).collections.keys() == {"a"}


def test_rows_are_kept_by_what_is_known_of_them_with_the_number_of_elements() -> None:
    transform = compile_transform(typed("a", "l", "m"))
    elements = [{"value": 1}] * 3
    group = Encoder(lambda _: transform).encode(
        [
            insert("a", {"_id": 1, "l": elements}),
            read("a", {"_id": 2, "m": elements}),
            insert("a", {"_id": 3}),
            delete("a", 4),
            update("a", {"_id": 5, "l": elements[:1], "m": elements[:2]}),
            insert("a", {"_id": 6, "l": elements[:2]}),
        ]
    )
    rows = group.collections["a"]
    assert rows.inserted.keys == ["$number:1", "$number:3", "$number:6"]
    assert (rows.inserted.elements(0), rows.inserted.elements(1)) == ([3, 0, 2], [0, 0, 0])
    assert (rows.read.keys, rows.read.elements(1)) == (["$number:2"], [3])
    assert (rows.changed.keys, rows.changed.elements(0), rows.changed.elements(1)) == (["$number:5"], [1], [2])
    assert rows.deleted_keys == ["$number:4"]
