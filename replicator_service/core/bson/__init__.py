"""The types of BSON (bsonspec.org, version 1.1): each is declared once, and everything else asks the tables here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.core.bson import binary, code, constants, containers, dates, deprecated, ids, numbers, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from replicator_service.core.bson.declaration import BsonType, Encoding, Fit, Value
    from replicator_service.core.mapping.model import ColumnType

TYPES: tuple[BsonType, ...] = (
    text.STRING,
    ids.OBJECT_ID,
    numbers.INT32,
    numbers.INT64,
    numbers.DOUBLE,
    numbers.DECIMAL,
    constants.BOOLEAN,
    dates.DATE,
    binary.BINARY,
    binary.SUBTYPED,
    binary.PYTHON_UUID,
    containers.DOCUMENT,
    containers.ARRAY,
    constants.NULL,
    dates.TIMESTAMP,
    code.REGULAR_EXPRESSION,
    code.CODE,
    containers.DB_REF,
    constants.MIN_KEY,
    constants.MAX_KEY,
    deprecated.SYMBOL,
    deprecated.UNDEFINED,
    deprecated.DB_POINTER,
)
"""All types, in the order of the documentation."""

ENCODINGS: Mapping[int, Encoding] = {byte: how for each in TYPES for byte, how in each.encodings.items()}
"""By the byte that announces it."""

OF_CLASS: Mapping[type, BsonType] = {kind: each for each in TYPES for kind in (*each.classes, *each.inexact_classes)}
"""By the exact class of a decoded value."""

UNKNOWN = "unknown type"


def kind_of(value: Value) -> str:
    """Return the name of the kind of a value, decoded by the driver or exactly, as people know it from MongoDB."""
    found = OF_CLASS.get(type(value))
    if found is None:
        return UNKNOWN
    return found.name if found.kinds is None else found.kinds(value)


def fit_of(column: ColumnType) -> Fit:
    """Return the function that gives PostgreSQL's input of a value for a scalar column, or None where it does not fit.

    A value fits when the column then equals it.
    """
    fits = {kind: each.columns[column] for each in TYPES if column in each.columns for kind in each.classes}

    def fit(value: Value) -> str | None:
        found = fits.get(type(value))
        return None if found is None else found(value)

    return fit
