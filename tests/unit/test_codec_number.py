"""Decimal128 and its many encodings."""

from __future__ import annotations

import pytest
from bson.decimal128 import Decimal128

from replicator_service.core.bson.numbers import decimal_integer, decimal_text


@pytest.mark.parametrize(
    "text",
    [
        "0",
        "-0",
        "0.00",
        "1",
        "-1.50",
        "1E+3",
        "1.5E-10",
        "0.000001",
        "1E-7",
        "1E+6144",
        "1E-6176",
        "NaN",
        "Infinity",
        "-Infinity",
        "9999999999999999999999999999999999",
        "12345678901234567.12345678901234567",
    ],
)
def test_the_text_is_the_specifications(text: str) -> None:
    assert decimal_text(Decimal128(text)) == str(Decimal128(text))


@pytest.mark.parametrize(
    ("bid", "text"),
    [
        # A coefficient over 34 digits, and one in the second form, mean zero.
        ((0x3040 << 112) | (10**34), "0"),
        (0x6C10 << 112, "0"),
        (0xEC10 << 112, "-0"),
        (0x7C00 << 112, "NaN"),
        (0xFE00 << 112 | 5, "NaN"),
        (0x7800 << 112 | 7, "Infinity"),
    ],
)
def test_encodings_that_are_not_canonical_have_the_standards_meaning(bid: int, text: str) -> None:
    assert decimal_text(Decimal128.from_bid(bid.to_bytes(16, "little"))) == text


@pytest.mark.parametrize(
    ("text", "integer"),
    [
        ("1.0", 1),
        ("1E+3", 1000),
        ("-12.00", -12),
        ("0E-10", 0),
        ("-0", None),
        ("1.5", None),
        ("NaN", None),
        ("Infinity", None),
        ("1E+40", None),
        ("1E-40", None),
        ("1E-6176", None),
        ("1000E-3", 1),
    ],
)
def test_whole_decimals_are_integers(text: str, integer: int | None) -> None:
    assert decimal_integer(Decimal128(text)) == integer
