"""Identifiers in text columns: they read as they do in ``_id``, and no two of them read the same."""

from __future__ import annotations

from typing import Any

from bson.binary import Binary
from bson.decimal128 import Decimal128
from bson.objectid import ObjectId
from hypothesis import assume, example, given
from hypothesis import strategies as st

from replicator_service.core.bson.marks import unmarked
from replicator_service.core.codec.columns import SCALARS
from replicator_service.core.codec.key import encode_key
from replicator_service.core.mapping.model import ColumnType
from tests.support.bson_values import IDENTIFIERS, TEXT
from tests.support.examples import examples

VALUES = TEXT | IDENTIFIERS | st.sampled_from(["a\0b", "a\ufffdb", '$string:"a\\u0000b"', "1001", 1001, 1001.0])
_HEX = frozenset("0123456789abcdef")


def text_of(value: Any) -> str | None:
    """What the column holds."""
    text = SCALARS[ColumnType.TEXT](value)
    return None if text is None else unmarked(text)


def is_plain(value: Any) -> bool:
    """Whether the key tags a string that the column has no reason to: 24 hexadecimal digits, or a dollar."""
    return isinstance(value, str) and encode_key(value) != value and text_of(value) == value


@given(IDENTIFIERS)
@example(-0.0)
@example(10**18)
@example(Decimal128("-0E+10"))
@examples(400)
def test_what_fits_reads_as_it_does_in_the_key(value: Any) -> None:
    text = text_of(value)
    is_number = isinstance(value, Decimal128) and not value.to_decimal().is_finite()
    is_old = isinstance(value, Binary) and value.subtype == 3
    assert (text is None) == (is_number or is_old)
    assert text is None or is_plain(value) or text == encode_key(value)


@given(VALUES, VALUES)
@example("a\0b", "a\ufffdb")
@example("a\0b", '$string:"a\\u0000b"')
@example("$number:1", 1)
@example("1", 1)
@example(one="true", other=True)
@example(b"\0", "\0")
@examples(1000)
def test_two_values_that_mongodb_tells_apart_never_read_the_same(one: Any, other: Any) -> None:
    texts = text_of(one), text_of(other)
    assume(None not in texts)
    is_digits = ObjectId in {type(one), type(other)} and set(str(one)) <= _HEX
    assert (texts[0] == texts[1]) == (encode_key(one) == encode_key(other)) or is_digits
