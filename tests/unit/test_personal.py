"""What looks personal is found by its name or its shape, and hardly anything else is."""

from __future__ import annotations

from typing import Any

import pytest

from replicator_service.core.masking.personal import Personal, Sightings, is_covered, name_of, shape_of, unknown_paths
from replicator_service.core.masking.rules import Mask, MaskKind, Rules


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("ada@example.com", Personal.EMAIL),
        ("ada@localhost", None),
        ("+49 170 1234567", Personal.PHONE),
        ("+1.5", None),
        ("203.0.113.7", Personal.IP),
        ("2001:db8::1", Personal.IP),
        ("10:30:15", None),
        ("1.2.3.400", None),
        ("DE89 3704 0044 0532 0130 00", Personal.IBAN),
        ("DE88370400440532013000", None),
        ("4111 1111 1111 1111", Personal.CARD),
        ("4111111111111112", None),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", Personal.TOKEN),
        ("64 hexadecimal digits are an hmac", None),
        ("5f1e0a0b0c0d0e0f10111213", None),
        ("", None),
    ],
)
def test_a_text_looks_like_what_it_is(text: str, what: Personal | None) -> None:
    assert shape_of(text) is what


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("email", Personal.EMAIL),
        ("eMail", Personal.EMAIL),
        ("mobilePhone", Personal.PHONE),
        ("ip_address", Personal.IP),
        ("clientIp", Personal.IP),
        ("zip", Personal.PLACE),
        ("lastName", Personal.NAME),
        ("dateOfBirth", Personal.BIRTH),
        ("passwordHash", Personal.TOKEN),
        ("name", None),
        ("recipe", None),
        ("shipped_at", None),
        ("description", None),
    ],
)
def test_a_name_says_what_it_may_hold(name: str, what: Personal | None) -> None:
    assert name_of(name) is what


def test_fields_are_found_at_any_depth_and_in_arrays() -> None:
    seen = Sightings()
    documents: list[dict[str, Any]] = [
        {"_id": 1, "contacts": [{"value": "ada@example.com"}], "a": {"b": {"phone": None}}, "note": "x"},
        {"_id": 2, "contacts": {"value": "bob@example.com"}, "note": "mail me: eve@example.com"},
    ]
    for each in documents:
        seen.add(each)
    assert [(".".join(each.path), each.what, each.is_by_value) for each in seen.suspicions()] == [
        ("contacts.value", Personal.EMAIL, True),
        ("a.b.phone", Personal.PHONE, False),
    ]
    assert (seen.arrays["contacts",], seen.counts["contacts",]) == (1, 2)


def test_rules_cover_what_is_below_them() -> None:
    rules = Rules((("a",),), ((("b", "*", "mail"), Mask(MaskKind.HMAC)),))
    assert is_covered(rules, ("a", "mail"))
    assert is_covered(rules, ("b", "home", "mail"))
    assert not is_covered(rules, ("b", "mail"))
    assert unknown_paths([("a",), ("b", "c")], [("a", "b"), ("b",)]) == [("b", "c")]
