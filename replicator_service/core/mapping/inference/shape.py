"""The shape of many values: how often there was one, of which kinds, and which column types hold them all.

A shape grows by one value after another and never holds a value. Merging two shapes gives the shape of all
values of both, in whatever order and grouping: what is counted adds up, what is ruled out stays ruled out.

It is bounded: only as deep as columns may go, and an object whose names of fields seem to be data is not
looked into any more.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from replicator_service.core.bson import constants, containers, kind_of, numbers
from replicator_service.core.codec.columns import SCALARS
from replicator_service.core.mapping.model import ColumnType

if TYPE_CHECKING:
    from replicator_service.core.bson.declaration import Value

MAX_LEVELS = 3
"""How many names a path may have; what is nested deeper is one value."""
MAX_DOCUMENT_FIELDS = 2_000
MAX_OBJECT_FIELDS = 200
"""Distinct names of fields, over all objects in one place, after which they are taken for data."""
LARGE_INTEGER = 2**30
"""From half of what ``integer`` holds on, the next documents may well need more."""

_MAX_ARRAYS = 2
"""An array that is a child table, and one inside its elements that is a column."""
_CANDIDATES = tuple(type_ for type_ in SCALARS if type_ is not ColumnType.JSONB)


@dataclass(slots=True)
class Shape:
    """All values in one place. ``max_fields`` bounds the distinct names of fields; 0 leaves objects closed."""

    max_fields: int
    kinds: Counter[str] = field(default_factory=Counter)
    fitting: tuple[ColumnType, ...] = _CANDIDATES
    """The column types that hold every value so far, nulls aside."""
    has_large_integers: bool = False
    fields: dict[str, Shape] = field(default_factory=dict)
    """Of all objects, in the order of their first appearance."""
    has_too_many_fields: bool = False
    elements: Shape | None = None
    """Of all arrays."""

    @property
    def count(self) -> int:
        """How many values there were, nulls included."""
        return self.kinds.total()

    @property
    def without_null(self) -> frozenset[str]:
        """The kinds that there were, null aside."""
        return frozenset(self.kinds) - {constants.NULL.name}

    def add_document(self, document: dict[str, Value]) -> None:
        """Add a whole document, as the value of no field."""
        self.kinds[containers.DOCUMENT.name] += 1
        self._open(document, MAX_LEVELS, _MAX_ARRAYS)

    def add(self, value: Value, levels: int, arrays: int) -> None:
        """Add one value, below which a path may have that many names and go into that many arrays."""
        kind = kind_of(value)
        self.kinds[kind] += 1
        if kind == constants.NULL.name:
            return
        if kind == numbers.INT32.name and not -LARGE_INTEGER < value < LARGE_INTEGER:
            self.has_large_integers = True
        for type_ in self.fitting:
            if SCALARS[type_](value) is None:
                self.fitting = tuple(each for each in self.fitting if SCALARS[each](value) is not None)
                break
        if kind == containers.DOCUMENT.name:
            self._open(value, levels, arrays)
        elif kind == containers.ARRAY.name and arrays and value:
            if self.elements is None:
                self.elements = Shape(MAX_OBJECT_FIELDS)
            # Only the outer array can become a table, whose columns again go into objects.
            levels_inside = MAX_LEVELS if arrays == _MAX_ARRAYS else 0
            for element in value:
                self.elements.add(element, levels_inside, arrays - 1)

    def _open(self, value: dict[str, Value], levels: int, arrays: int) -> None:
        if levels == 0 or self.has_too_many_fields:
            return
        fields = self.fields
        for name, inner in value.items():
            shape = fields.get(name)
            if shape is None:
                shape = fields[name] = Shape(MAX_OBJECT_FIELDS)
            shape.add(inner, levels - 1, arrays)
        if len(fields) > self.max_fields:
            self._close()

    def _close(self) -> None:
        self.fields = {}
        self.has_too_many_fields = True


def empty_shape() -> Shape:
    """Return the shape of no documents."""
    return Shape(MAX_DOCUMENT_FIELDS)


def merged(one: Shape, other: Shape) -> Shape:
    """Return the shape of all values of both. Neither is changed, and the result may share parts with them."""
    has_too_many = one.has_too_many_fields or other.has_too_many_fields
    fields: dict[str, Shape] = {}
    if not has_too_many:
        fields = dict(one.fields)
        for name, shape in other.fields.items():
            fields[name] = merged(fields[name], shape) if name in fields else shape
    if len(fields) > one.max_fields:
        fields, has_too_many = {}, True
    return Shape(
        max_fields=one.max_fields,
        kinds=one.kinds + other.kinds,
        fitting=tuple(type_ for type_ in one.fitting if type_ in other.fitting),
        has_large_integers=one.has_large_integers or other.has_large_integers,
        fields=fields,
        has_too_many_fields=has_too_many,
        elements=_merged_elements(one.elements, other.elements),
    )


def _merged_elements(one: Shape | None, other: Shape | None) -> Shape | None:
    if one is None or other is None:
        return one or other
    return merged(one, other)
