"""Numbers as text: exact for keys, by the specification for Decimal128, plain digits for doubles.

MongoDB compares numbers of different types by their exact value, so a key's text depends on the value alone.
"""

from __future__ import annotations

import struct
from decimal import Decimal
from math import isfinite, isinf, isnan
from typing import TYPE_CHECKING

from bson.decimal128 import Decimal128
from bson.int64 import Int64

from replicator_service.core.bson.declaration import BsonType, Encoding, Key, Sample, int32, tagged_text
from replicator_service.core.mapping.model import ColumnType

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from replicator_service.core.bson.declaration import Fit, Value

INTEGER_RANGE = (-(2**31), 2**31 - 1)
BIGINT_RANGE = (-(2**63), 2**63 - 1)
_EXACT_IN_DOUBLE = 2**53
_EXPONENT_BIAS = 6176
_MAX_COEFFICIENT = 10**34 - 1
_PLAIN_ZEROS = 40
"""A number with more zeros than this next to its digits is written with an exponent."""


def decimal_parts(value: Decimal128) -> tuple[bool, int, int] | str:
    """Sign, coefficient and exponent of a Decimal128, or ``NaN``, ``Infinity``, ``-Infinity``.

    A coefficient beyond 34 digits means zero (IEEE 754-2008, 3.5.2). Every NaN is the same, as MongoDB
    compares them.
    """
    bits = int.from_bytes(value.bid, "little")
    negative = bool(bits >> 127)
    combination = (bits >> 122) & 0x1F
    if combination == 0x1F:
        return "NaN"
    if combination == 0x1E:
        return "-Infinity" if negative else "Infinity"
    if combination >> 3 == 0b11:
        # Such a coefficient starts with an implicit 0b100 and is always beyond 34 digits.
        return negative, 0, ((bits >> 111) & 0x3FFF) - _EXPONENT_BIAS
    coefficient = bits & ((1 << 113) - 1)
    exponent = ((bits >> 113) & 0x3FFF) - _EXPONENT_BIAS
    return negative, 0 if coefficient > _MAX_COEFFICIENT else coefficient, exponent


def decimal_text(value: Decimal128) -> str:
    """Return the text of a Decimal128 as Extended JSON wants it: ``1.50``, ``1E+3``, ``NaN``.

    It keeps every digit and the exponent, and PostgreSQL's ``numeric`` reads it.
    """
    parts = decimal_parts(value)
    if isinstance(parts, str):
        return parts
    negative, coefficient, exponent = parts
    return str(Decimal(f"{'-' if negative else ''}{coefficient}E{exponent}"))


def decimal_integer(value: Decimal128) -> int | None:
    """Return the integer that a Decimal128 is, or None: not for negative zero, nor far over 64 bits."""
    parts = decimal_parts(value)
    if isinstance(parts, str):
        return None
    negative, coefficient, exponent = parts
    if coefficient == 0:
        return None if negative else 0
    if exponent >= 0:
        if exponent > 19:
            return None
        magnitude = coefficient * int(10**exponent)
    else:
        # More than 34 digits behind the point leave a rest whatever they are.
        magnitude, rest = divmod(coefficient, int(10 ** min(-exponent, 40)))
        if rest:
            return None
    return -magnitude if negative else magnitude


def plain_double(value: float) -> str:
    """Return the shortest digits of a finite double that JSON keeps as a double: always with a point or ``e-``.

    A jsonb column stores numbers as digits: ``1e+300`` would come back without a point, that is, as an
    integer.
    """
    text = repr(value)
    return f"{Decimal(text):f}.0" if "e+" in text else text


def exact_number(value: float | Decimal128) -> str:
    """Return one text for equal numbers and different texts for different ones, whatever their types."""
    if isinstance(value, int):
        return _canonical(value < 0, abs(value), 0)
    if isinstance(value, float):
        if value != value:  # noqa: PLR0124 - only NaN differs from itself
            return "NaN"
        if value in (float("inf"), float("-inf")):
            return "Infinity" if value > 0 else "-Infinity"
        return _exact_double(value)
    parts = decimal_parts(value)
    return parts if isinstance(parts, str) else _canonical(*parts)


def _exact_double(value: float) -> str:
    negative, digits, exponent = Decimal(value).as_tuple()
    # The exponent of a finite Decimal is an integer; its letters stand for NaN and the infinities.
    return _canonical(bool(negative), int("".join(map(str, digits))), int(exponent))


def _canonical(negative: bool, coefficient: int, exponent: int) -> str:  # noqa: FBT001 - the parts of a number
    if coefficient == 0:
        return "0"
    digits = str(coefficient)
    significant = digits.rstrip("0")
    exponent += len(digits) - len(significant)
    sign = "-" if negative else ""
    point = len(significant) + exponent
    if 0 <= exponent <= _PLAIN_ZEROS:
        return sign + significant + "0" * exponent
    if exponent < 0 < point:
        return f"{sign}{significant[:point]}.{significant[point:]}"
    if -_PLAIN_ZEROS <= point <= 0:
        return f"{sign}0.{'0' * -point}{significant}"
    return f"{sign}{significant[0]}.{significant[1:] or '0'}e{point - 1}"


def _key(value: float | Decimal128) -> Key:
    return ("number", exact_number(value))


def _from_key(text: str) -> Value:
    """The number of this value, of whatever type: MongoDB compares by value."""
    exact = Decimal(text)
    if exact.is_finite() and exact.adjusted() < 20 and exact == exact.to_integral_value():
        whole = int(exact)
        if BIGINT_RANGE[0] <= whole <= BIGINT_RANGE[1]:
            return Int64(whole)
    double = float(text)
    return double if exact_number(double) == text else Decimal128(text)


def _double_json(value: float) -> str:
    text = repr(value)
    if text == "-0.0":
        # jsonb stores numbers without a sign of zero.
        return '{"$numberDouble":"-0.0"}'
    if isfinite(value):
        return plain_double(value) if "e+" in text else text
    return f'{{"$numberDouble":"{_double_text(value)}"}}'


def _double_text(value: float) -> str:
    if isnan(value):
        return "NaN"
    if isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return repr(value)


def _whole_double(value: float) -> int | None:
    """Negative zero is no integer: its sign would be lost."""
    return int(value) if value.is_integer() and repr(value) != "-0.0" else None


def _whole(whole: Callable[[Value], int | None]) -> Mapping[ColumnType, Fit]:
    """What fits columns of integers: a number that is one, within their range."""

    def within(low: int, high: int) -> Fit:
        def fit(value: Value) -> str | None:
            number = whole(value)
            return str(number) if number is not None and low <= number <= high else None

        return fit

    return {ColumnType.INTEGER: within(*INTEGER_RANGE), ColumnType.BIGINT: within(*BIGINT_RANGE)}


def _integer_double(value: int) -> str | None:
    return str(int(value)) if -_EXACT_IN_DOUBLE <= value <= _EXACT_IN_DOUBLE else None


_INTEGER_COLUMNS: Mapping[ColumnType, Fit] = {
    **_whole(int),
    ColumnType.DOUBLE_PRECISION: _integer_double,
    ColumnType.NUMERIC: lambda value: str(int(value)),
    # What the key makes of it, without the long way: an int64 has too few digits for an exponent.
    ColumnType.TEXT: lambda value: f"$number:{int(value)}",
}

INT32 = BsonType(
    name="int32",
    classes=(int,),
    encodings={0x10: Encoding(lambda raw, _: int32(raw), 4)},
    json=int.__repr__,
    key=_key,
    columns=_INTEGER_COLUMNS,
    samples=(Sample("int32", 7),),
)

INT64 = BsonType(
    name="int64",
    classes=(Int64,),
    encodings={0x12: Encoding(lambda raw, _: Int64(int.from_bytes(raw, "little", signed=True)), 8)},
    json=int.__repr__,
    key=_key,
    columns=_INTEGER_COLUMNS,
    samples=(Sample("int64", Int64(2**53 + 1)),),
)

DOUBLE = BsonType(
    name="double",
    classes=(float,),
    encodings={0x01: Encoding(lambda raw, _: struct.unpack("<d", raw)[0], 8)},
    json=_double_json,
    key=_key,
    columns={
        **_whole(_whole_double),
        ColumnType.DOUBLE_PRECISION: _double_text,
        ColumnType.NUMERIC: _double_text,
        ColumnType.TEXT: lambda value: tagged_text(_key(value)) if value.is_integer() else None,
    },
    samples=(
        Sample("double, whole", 7.0),
        Sample("double with a fraction", 0.5),
        Sample("double, negative zero", -0.0),
        Sample("double, large", 1e16),
        Sample("double, NaN", float("nan")),
        Sample("double, infinite", float("-inf")),
    ),
)

DECIMAL = BsonType(
    name="Decimal128",
    classes=(Decimal128,),
    encodings={0x13: Encoding(lambda raw, _: Decimal128.from_bid(raw), 16)},
    json=lambda value: f'{{"$numberDecimal":"{decimal_text(value)}"}}',
    key=_key,
    # For all numbers: they have one tag.
    keys={"number": _from_key},
    columns={
        **_whole(decimal_integer),
        ColumnType.NUMERIC: decimal_text,
        ColumnType.TEXT: lambda value: None if isinstance(decimal_parts(value), str) else tagged_text(_key(value)),
    },
    samples=(
        Sample("Decimal128, whole", Decimal128("7.00")),
        Sample("Decimal128 with a fraction", Decimal128("1.50")),
        Sample("Decimal128, NaN of any kind", Decimal128("NaN")),
        Sample("Decimal128, infinite", Decimal128("Infinity")),
    ),
)
