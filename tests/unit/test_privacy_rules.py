"""What a mapping file says of privacy, what each mask gives, and what the door does with events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bson
import pytest
from bson.binary import Binary
from bson.code import Code
from bson.int64 import Int64
from bson.objectid import ObjectId
from bson.timestamp import Timestamp
from typer.testing import CliRunner

from replicator_service.cli.application import application
from replicator_service.core.errors import ConfigurationError, Fatal, ResyncRequired
from replicator_service.core.mapping.fingerprint import fingerprint
from replicator_service.core.mapping.loader import load_mapping
from replicator_service.core.mapping.problems import MappingError
from replicator_service.core.mapping.resolution import mapping_for
from replicator_service.core.mapping.rule_paths import unmentioned_paths
from replicator_service.core.masking.door import Door
from replicator_service.core.masking.key import MaskKey, mask_key
from replicator_service.core.masking.rules import Mask, MaskKind, Rules, Selection
from tests.support.bson_values import utc

if TYPE_CHECKING:
    from pathlib import Path

KEY = MaskKey(b"a key that is kept secret")
ID = ObjectId("0123456789abcdef01234567")


def loaded(text: str) -> Any:
    return load_mapping("version: 1\n" + text, name="mapping")


def door(rules: dict[str, Rules], selection: Selection | None = None) -> Door:
    return Door(selection, rules, KEY)


def one(value: Any, mask: Mask) -> Any:
    array = bson.encode({"0": {"a": value}})
    return bson.decode(door({"c": Rules((), ((("a",), mask),))}).documents("c", array))["0"]["a"]


def events(through: Door, *given: dict[str, Any]) -> list[dict[str, Any]]:
    array = bson.encode({str(index): each for index, each in enumerate(given)})
    return list(bson.decode(through.events(array)).values())


def event(operation: str, collection: str, document: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    whole = {} if document is None else {"fullDocument": document}
    key = {"documentKey": {"_id": 1}} if operation in {"insert", "update", "replace", "delete"} else {}
    namespace = {"ns": {"db": "origin", "coll": collection}}
    return {
        "_id": {"_data": "82"},
        "operationType": operation,
        "clusterTime": Timestamp(1, 1),
        **whole,
        **namespace,
    } | (key | more)


@pytest.mark.parametrize(
    ("mask", "value", "shown"),
    [
        (Mask(MaskKind.KEEP_LAST, 4), "+491701234567", "***4567"),
        (Mask(MaskKind.KEEP_LAST, 4), "4567", "***"),
        (Mask(MaskKind.KEEP_LAST, 4), Int64(491701234567), "***4567"),
        (Mask(MaskKind.KEEP_FIRST, 2), "Åsa", "Ås***"),
        (Mask(MaskKind.KEEP_FIRST, 2), True, None),
        (Mask(MaskKind.KEEP_LAST, 4), Code("secret()"), None),
        (Mask(MaskKind.TRUNCATE_IP, 24, 48), "203.0.113.77", "203.0.113.0"),
        (Mask(MaskKind.TRUNCATE_IP, 24, 48), "2001:db8:1:2::3%eth0", "2001:db8:1::"),
        (Mask(MaskKind.TRUNCATE_IP, 24, 48), "::ffff:203.0.113.77", "::ffff:203.0.113.0"),
        (Mask(MaskKind.TRUNCATE_IP, 24, 48), Binary(bytes([203, 0, 113, 77]), 0), "203.0.113.0"),
        (Mask(MaskKind.TRUNCATE_IP, 24, 48), "203.0.113.77:443", None),
        (Mask(MaskKind.TRUNCATE_IP, 24, 48), 3405803853, None),
        (Mask(MaskKind.TRUNCATE_DATE, unit="month"), utc(1984, 5, 17, 3, 4), utc(1984, 5, 1)),
        (Mask(MaskKind.TRUNCATE_DATE, unit="year"), "1984-05-17T03:04:05Z", "1984-01-01"),
        (Mask(MaskKind.TRUNCATE_DATE, unit="day"), "born in May", None),
        (Mask(MaskKind.TRUNCATE_DATE, unit="day"), Timestamp(1, 1), None),
        (Mask(MaskKind.CONSTANT, constant=7), ["a", {"b": 1}], 7),
        (Mask(MaskKind.NULL), {"a": 1}, None),
        (Mask(MaskKind.KEEP_LAST, 1), ["ab", ["cd", {"e": "f"}], None], ["***b", ["***d", None], None]),
    ],
)
def test_each_mask_gives_what_it_says_or_null(mask: Mask, value: Any, shown: Any) -> None:
    assert one(value, mask) == shown


def test_equal_values_give_equal_hmacs_whatever_their_type_in_mongodb() -> None:
    def hashed(value: Any) -> Any:
        return one(value, Mask(MaskKind.HMAC))

    assert hashed(1) == hashed(1.0) == hashed(Int64(1)) != hashed("1")
    assert hashed(ID) == hashed(str(ID))
    assert len(hashed("x")) == 64
    assert hashed(None) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("collections: {c: {mask: {_id: {keep_last: 4}}}}", "mask _id as a whole with hmac"),
        ("collections: {c: {mask: {_id: null}}}", "rows of different documents would get the same key"),
        ("collections: {c: {exclude: [_id]}}", "_id cannot be excluded"),
        ("collections: {c: {mask: {_id.mail: hmac}}}", "a part of _id cannot be masked"),
        ("collections: {c: {exclude: [_id.mail]}}", "a part of _id cannot be excluded"),
        ("collections: {c: {mask: {_id: hmac}, columns: {id: {path: _id, type: bigint}}}}", "let the column be text"),
        (
            "collections: {c: {mask: {_id: hmac}, columns: {day: {path: _id.day, type: timestamptz}}}}",
            "what is left is one text",
        ),
        ("collections: {c: {mask: {a: hamc}}}", "did you mean hmac?"),
        ("collections: {c: {mask: {a: {keep_last: 0}}}}", "write one from 1 to 1000"),
        ("collections: {c: {mask: {a: {keep_last: 010}}}}", "write one from 1 to 1000"),
        ("collections: {c: {mask: {a: {constant: 0000}}}}", "begins with 0"),
        ("collections: {c: {mask: {a: {truncate: 33}}}}", "write one from 0 to 32"),
        ("collections: {c: {mask: {a: {truncate: week}}}}", "write day, month, year"),
        ("collections: {c: {mask: {a: {truncate: {ipv4: 8}}}}}", "{ipv4: 24, ipv6: 48}"),
        ("collections: {c: {mask: {a: {constant: [1]}}}}", "a text, a number or a boolean"),
        ("collections: {c: {mask: {a: hmac, a.b: null}}}", "has a rule in line 2 already"),
        ("collections: {c: {exclude: [a], mask: {a.b: hmac}}}", "has a rule in line 2 already"),
        ("collections: {c: {columns: {a: integer}, mask: {a: hmac}}}", "let the column be text"),
        ("collections: {c: {columns: {a: text}, exclude: [a]}}", "a column takes it"),
        (
            "collections: {c: {children: {lines: {columns: {n: text}}}, mask: {lines: hmac}}}",
            "is the array of the child table",
        ),
        ("exclude: [c*]\ncollections: {cc: {columns: {a: text}}}", "is not replicated"),
        ("include: [d]\ncollections: {c: {columns: {a: text}}}", "add it to include"),
        ("include: [d]\nexclude: [d]", "is included and excluded"),
    ],
)
def test_what_cannot_be_is_one_clear_line(text: str, message: str) -> None:
    with pytest.raises(MappingError) as raised:
        loaded(text)
    assert message in str(raised.value)
    assert len(raised.value.problems) == 1


def test_an_id_that_looks_personal_may_cross_as_check_proposes() -> None:
    acknowledged = loaded("collections: {users: {acknowledge: [_id, _id.mail]}}").acknowledged
    assert acknowledged == (("users", ("_id",)), ("users", ("_id", "mail")))


def test_rules_need_no_columns_and_change_the_fingerprint() -> None:
    plain = loaded("collections: {}")
    ruled = loaded("collections: {users: {mask: {email: hmac}, exclude: [notes], acknowledge: [name]}}")
    mapped = [mapping_for(each, "users", ()) for each in (plain, ruled)]
    assert fingerprint(mapped[0]) != fingerprint(mapped[1])
    assert fingerprint(mapping_for(ruled, "others", ())) == fingerprint(mapping_for(plain, "others", ()))
    assert ruled.acknowledged == (("users", ("name",)),)
    again = loaded("collections: {users: {mask: {email: hmac}, exclude: [notes]}}")
    assert fingerprint(mapping_for(again, "users", ())) == fingerprint(mapped[1])


def test_patterns_choose_collections_and_exclude_wins() -> None:
    selection = loaded('include: ["shop_*", orders]\nexclude: ["*_tmp"]').selection
    assert [name for name in ("shop_a", "orders", "shop_tmp", "other") if selection.crosses(name)] == [
        "shop_a",
        "orders",
    ]


def test_collections_that_only_the_server_makes_do_not_cross_where_there_are_rules() -> None:
    name = "tmp.agg_out.01234567-89ab-cdef-0123-456789abcdef"
    assert loaded("collections: {}").selection.crosses(name)
    assert not loaded("collections: {users: {mask: {email: hmac}}}").selection.crosses(name)


def test_of_an_event_of_an_excluded_collection_only_the_position_is_left() -> None:
    through = Door(Selection(exclude=("secret*",)))
    kept = event("insert", "plain", {"_id": 1, "a": "x"})
    found = events(through, event("insert", "secrets", {"_id": 1, "a": "x"}, txnNumber=Int64(3)), kept)
    assert found == [
        {
            "_id": {"_data": "82"},
            "clusterTime": Timestamp(1, 1),
            "txnNumber": Int64(3),
            "operationType": "excluded",
        },
        kept,
    ]


def test_an_event_is_masked_by_the_rules_of_its_collection_and_its_key_is_the_id_alone() -> None:
    through = door({"users": Rules((("mail",),))})
    key = {"documentKey": {"mail": "x", "_id": 1}}
    changed, other = events(
        through, event("insert", "users", {"_id": 1, "mail": "x"}, **key), event("insert", "c", {"mail": "x"})
    )
    assert (changed["fullDocument"], changed["documentKey"]) == ({"_id": 1}, {"_id": 1})
    assert other["fullDocument"] == {"mail": "x"}


def test_parts_of_a_split_event_bring_no_document_since_they_may_not_say_whose_it_is() -> None:
    through = door({"users": Rules((("mail",),))})
    split = {"splitEvent": {"fragment": 2, "of": 2}}
    (part,) = events(through, {"_id": {"_data": "82"}, "fullDocument": {"_id": 1, "mail": "x"}, **split})
    assert part == {"_id": {"_data": "82"}, **split}


def test_schema_changes_pass() -> None:
    dropped = event("drop", "users")
    assert events(door({"users": Rules((("mail",),))}, Selection(exclude=("users",))), dropped) == [dropped]


def test_a_key_is_needed_and_long_enough() -> None:
    rules = {"users": Rules((), ((("mail",), Mask(MaskKind.HMAC)),))}
    with pytest.raises(ConfigurationError, match="masks values of users with hmac, and there is no key"):
        Door(rules=rules)
    with pytest.raises(ConfigurationError, match="fewer than 16 characters"):
        mask_key("short")
    assert mask_key("") is None
    assert "kept secret" not in repr(KEY)


def test_the_fingerprint_of_a_key_tells_keys_apart_and_nothing_else() -> None:
    other = MaskKey(b"another key that is secret")
    assert KEY.fingerprint == MaskKey(KEY.secret).fingerprint != other.fingerprint


def test_the_server_leaves_out_what_it_understands_as_we_do() -> None:
    through = door({"users": Rules((("mail",), ("a", "b"), ("m", "*", "x"), ("$odd",), ("l", "0")))})
    assert through.projection("users") == {"mail": 0, "a.b": 0}
    assert through.projection("others") is None


def test_no_rule_but_its_own_reaches_the_id() -> None:
    """Rows and events would not find each other."""
    for mask in (Mask(MaskKind.HMAC), Mask(MaskKind.NULL)):
        through = door({"c": Rules((("*", "gone"),), ((("*",), mask),)), "d": Rules((("*",),))})
        array = bson.encode({"0": {"_id": {"gone": 1}, "a": 1}})
        found = bson.decode(through.documents("c", array))["0"]
        assert (found["_id"], found["a"] != 1) == ({"gone": 1}, True)
        assert bson.decode(through.documents("d", array)) == {"0": {"_id": {"gone": 1}}}


def test_a_hidden_id_is_opened_with_its_key_alone() -> None:
    rules = {"c": Rules((), ((("_id",), Mask(MaskKind.HMAC)),))}
    through, other = door(rules), Door(rules=rules, key=MaskKey(b"another key that is kept secret"))
    for each in (1, "x" * 100_000, ID, {"a": [None]}, None):
        raw = bson.encode({"_id": each})
        hidden = through.hidden("c", raw)
        assert through.opened("c", hidden) == raw
        assert through.hidden("other", raw) == through.opened("other", raw) == raw
        assert (
            bson.decode(hidden)["_id"]
            == bson.decode(through.documents("c", bson.encode({"0": {"_id": each}})))["0"]["_id"]
        )
        for refused in (raw, other.hidden("c", raw), hidden[:-2] + bytes([hidden[-2] ^ 1]) + b"\0"):
            with pytest.raises(Fatal, match="was not written with this key"):
                through.opened("c", refused)
    with pytest.raises(Fatal):
        through.sought("c", ["what was not hidden"])


def test_an_event_of_a_hidden_id_brings_its_mask_and_what_a_look_up_needs() -> None:
    through = door({"users": Rules((), ((("_id",), Mask(MaskKind.HMAC)),))})
    inserted, deleted = events(through, event("insert", "users", {"_id": 1, "a": 2}), event("delete", "users"))
    assert inserted["fullDocument"]["_id"] == inserted["documentKey"]["_id"] == deleted["documentKey"]["_id"]
    assert through.opened("users", bson.encode(deleted["documentKey"])) == bson.encode({"_id": 1})
    assert through.key_of("users", "$number:1") == deleted["documentKey"]["_id"]
    with pytest.raises(ResyncRequired, match="does not say whose key it has"):
        events(through, {"_id": {"_data": "82"}, "documentKey": {"_id": 1}, "splitEvent": {"fragment": 1, "of": 2}})


def test_a_rule_that_is_nearly_a_columns_path_is_probably_misspelled() -> None:
    mapping = loaded(
        "collections:\n  users:\n    columns: {email: text, home: jsonb, street: {path: address.street, type: text}}\n"
        "    children: {lines: {columns: {sku: text}}}\n"
        "    mask: {_id: hmac, emial: null, email: hmac, home.zip: null, lines.*: null}\n"
        "    exclude: [address.stret, unheard_of, lines.skv]\n"
        "  documents: {exclude: [emial]}"
    )
    assert [(each.collection, each.path, each.meant) for each in unmentioned_paths(mapping)] == [
        ("documents", "emial", None),
        ("users", "address.stret", "address.street"),
        ("users", "unheard_of", None),
        ("users", "lines.skv", "lines.sku"),
        ("users", "emial", "email"),
    ]


def test_what_the_file_alone_tells_of_rules_is_said(tmp_path: Path) -> None:
    file = tmp_path / "mapping.yml"
    file.write_text("version: 1\ncollections: {users: {columns: {email: text}, exclude: [emial, other]}}")
    told = CliRunner().invoke(application, ["mapping", "check", str(file)], env={"COLUMNS": "200"}).output
    assert "warning: users: emial is in no column; did you mean email?" in told
    assert "1 path of rules no column mentions" in told
