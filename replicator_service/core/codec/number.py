"""Numbers as text: exact for keys, by the specification for Decimal128, plain digits for doubles.

MongoDB compares numbers of different types by their exact value, so a key's text depends on the value alone.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bson.decimal128 import Decimal128

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
    """Give the text of a Decimal128 as Extended JSON wants it: ``1.50``, ``1E+3``, ``NaN``.

    It keeps every digit and the exponent, and PostgreSQL's ``numeric`` reads it.
    """
    parts = decimal_parts(value)
    if isinstance(parts, str):
        return parts
    negative, coefficient, exponent = parts
    return str(Decimal(f"{'-' if negative else ''}{coefficient}E{exponent}"))


def decimal_integer(value: Decimal128) -> int | None:
    """Give the integer that a Decimal128 is, or None: not for negative zero, nor far over 64 bits."""
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
    """Give the shortest digits of a finite double that JSON keeps as a double: always with a point or ``e-``.

    A jsonb column stores numbers as digits: ``1e+300`` would come back without a point, that is, as an
    integer.
    """
    text = repr(value)
    return f"{Decimal(text):f}.0" if "e+" in text else text


def exact_number(value: float | Decimal128) -> str:
    """Give equal numbers one text and different numbers different texts, whatever their types."""
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
