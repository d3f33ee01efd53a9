"""Where a field goes: one column, columns of its own fields, a child table, or ``_extra``.

The choice never loses or bends a value that was seen: among the types that hold all of them it takes the one
that people expect of these kinds, and ``jsonb``, which holds everything, where no other does.

* ``integer`` only where all numbers are int32 and far from its limit: an application that stored an int64 or
  a double has said that its numbers are larger or broken.
* Strings are ``text`` even if all of them look like UUIDs: a ``uuid`` column takes no other string.
* ``text`` takes identifiers of every scalar type, so a field that is called like one gets it when its values are of
  several kinds. Elsewhere 5 and ``"5"`` are figures that somebody will want to count with: ``jsonb``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from replicator_service.core.bson import constants, containers, deprecated, ids, numbers, text
from replicator_service.core.mapping.model import ColumnType

if TYPE_CHECKING:
    from replicator_service.core.mapping.inference.shape import Shape

_INTEGERS = frozenset({numbers.INT32.name, numbers.INT64.name})
_KINDS_OF = {
    ColumnType.TEXT: frozenset({text.STRING.name, ids.OBJECT_ID.name, deprecated.SYMBOL.name}),
    ColumnType.INTEGER: frozenset({numbers.INT32.name}),
    ColumnType.BIGINT: _INTEGERS,
    ColumnType.DOUBLE_PRECISION: _INTEGERS | {numbers.DOUBLE.name},
}
_IN_ORDER = (
    ColumnType.BOOLEAN,
    ColumnType.TIMESTAMPTZ,
    ColumnType.BYTEA,
    ColumnType.TEXT,
    ColumnType.UUID,
    ColumnType.INTEGER,
    ColumnType.BIGINT,
    ColumnType.DOUBLE_PRECISION,
    ColumnType.NUMERIC,
)
_IDENTIFIER = re.compile(
    r"(?:.*[_. -])?(?:id|Id|ID|uuid|UUID|guid|GUID)s?|.*[a-z0-9](?:Id|ID|Uuid|UUID|Guid)s?", re.DOTALL
)
_FEW_FIELDS = 20
_SPARSE = 0.25
_LOOKS_LIKE_DATA = re.compile(r"\d.*|[0-9a-f]{24}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class OneColumn:
    """The value goes into a column; ``remark`` goes on from its kind where ``jsonb`` is not obvious."""

    type: ColumnType
    remark: str = ""


@dataclass(frozen=True, slots=True)
class OwnColumns:
    """The fields of the object go into columns of their own."""


@dataclass(frozen=True, slots=True)
class ChildRows:
    """Each of these elements of the array becomes a row of a child table."""

    elements: Shape


@dataclass(frozen=True, slots=True)
class Left:
    """Nothing is known that a column could be made of."""

    reason: str


Landing = OneColumn | OwnColumns | ChildRows | Left


def landing_of(shape: Shape, *, name: str, levels: int, may_be_rows: bool) -> Landing:
    """Choose where the field ``name`` goes; ``levels`` of names may follow, arrays are tables if ``may_be_rows``."""
    kinds = shape.without_null
    if not kinds:
        return Left("always null")
    if kinds == {containers.DOCUMENT.name}:
        return _landing_of_object(shape, levels)
    if kinds == {containers.ARRAY.name} and shape.elements is not None:
        return _landing_of_array(shape.elements, name, may_be_rows=may_be_rows)
    if kinds == {containers.ARRAY.name}:
        return Left("always an empty array")
    return OneColumn(scalar_type(shape, is_identifier=is_identifier(name)))


def is_identifier(name: str) -> bool:
    """Whether a field is called as fields are that identify something: ``id``, ``user_id``, ``orderIds``."""
    return _IDENTIFIER.fullmatch(name) is not None


def scalar_type(shape: Shape, *, is_identifier: bool) -> ColumnType:
    """Return the type whose column holds every value of a shape as it is."""
    kinds = shape.without_null
    for type_ in _IN_ORDER:
        if type_ not in shape.fitting or not kinds <= _KINDS_OF.get(type_, kinds):
            continue
        if type_ is ColumnType.INTEGER and shape.has_large_integers:
            continue
        return type_
    return ColumnType.TEXT if is_identifier and ColumnType.TEXT in shape.fitting else ColumnType.JSONB


def data_in_names(shape: Shape) -> str:
    """Say of an object why its field names are taken for data, or give an empty text."""
    if shape.has_too_many_fields:
        return f"with over {shape.max_fields} field names"
    names = len(shape.fields)
    if names > 1 and all(_LOOKS_LIKE_DATA.fullmatch(name) for name in shape.fields):
        return "whose field names look like data"
    present = sum(inner.count for inner in shape.fields.values())
    if names >= _FEW_FIELDS and present < _SPARSE * names * shape.kinds[containers.DOCUMENT.name]:
        return f"with {names} field names, most of them rare"
    return ""


def _landing_of_object(shape: Shape, levels: int) -> Landing:
    if levels == 0:
        return OneColumn(ColumnType.JSONB, "nested too deep for columns")
    remark = data_in_names(shape)
    if remark:
        return OneColumn(ColumnType.JSONB, remark)
    return OwnColumns() if shape.fields else Left("always an empty object")


def _landing_of_array(elements: Shape, name: str, *, may_be_rows: bool) -> Landing:
    kinds = elements.without_null
    if not kinds:
        return Left("an array of nothing but null")
    if kinds != {containers.DOCUMENT.name}:
        element = scalar_type(elements, is_identifier=is_identifier(name))
        return OneColumn(element if element is ColumnType.JSONB else ColumnType(f"{element.value}[]"))
    if not may_be_rows:
        return OneColumn(ColumnType.JSONB, "inside another array")
    if elements.kinds[constants.NULL.name]:
        # A null is no row of columns: it would be one of nulls, and count as altered.
        return OneColumn(ColumnType.JSONB, "and null")
    remark = data_in_names(elements)
    return OneColumn(ColumnType.JSONB, remark) if remark else ChildRows(elements)
