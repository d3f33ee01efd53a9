"""The names of column types in a mapping file, and what people write instead of them."""

from __future__ import annotations

import re

from replicator_service.core.mapping.model import ColumnType
from replicator_service.core.mapping.problems import closest

_NAMES = {type_.value: type_ for type_ in ColumnType}

# What other databases, drivers and languages call these types, without arrays.
_ALIASES = {
    "string": ColumnType.TEXT,
    "str": ColumnType.TEXT,
    "varchar": ColumnType.TEXT,
    "character varying": ColumnType.TEXT,
    "char": ColumnType.TEXT,
    "objectid": ColumnType.TEXT,
    "symbol": ColumnType.TEXT,
    "int": ColumnType.INTEGER,
    "int4": ColumnType.INTEGER,
    "int32": ColumnType.INTEGER,
    "smallint": ColumnType.INTEGER,
    "int8": ColumnType.BIGINT,
    "int64": ColumnType.BIGINT,
    "long": ColumnType.BIGINT,
    "double": ColumnType.DOUBLE_PRECISION,
    "float": ColumnType.DOUBLE_PRECISION,
    "float4": ColumnType.DOUBLE_PRECISION,
    "float8": ColumnType.DOUBLE_PRECISION,
    "real": ColumnType.DOUBLE_PRECISION,
    "decimal": ColumnType.NUMERIC,
    "decimal128": ColumnType.NUMERIC,
    "number": ColumnType.NUMERIC,
    "money": ColumnType.NUMERIC,
    "bool": ColumnType.BOOLEAN,
    "date": ColumnType.TIMESTAMPTZ,
    "datetime": ColumnType.TIMESTAMPTZ,
    "timestamp": ColumnType.TIMESTAMPTZ,
    "timestamp with time zone": ColumnType.TIMESTAMPTZ,
    "timestamp without time zone": ColumnType.TIMESTAMPTZ,
    "guid": ColumnType.UUID,
    "binary": ColumnType.BYTEA,
    "bindata": ColumnType.BYTEA,
    "blob": ColumnType.BYTEA,
    "bytes": ColumnType.BYTEA,
    "json": ColumnType.JSONB,
    "object": ColumnType.JSONB,
    "document": ColumnType.JSONB,
    "array": ColumnType.JSONB,
    "list": ColumnType.JSONB,
}

_FORM = re.compile(r"\s*(?P<base>[^\[\](]*?)\s*(?P<precision>\([\d\s,]*\))?\s*(?P<array>(\[\d*\])*)\s*")


def column_type(name: str) -> ColumnType | None:
    """Return the type that a mapping calls ``name``, or None. There is one spelling for each type."""
    return _NAMES.get(name)


def suggestion(name: str) -> str:
    """Say what to write in place of an unknown type."""
    form = _FORM.fullmatch(name.lower()) if len(name) <= 100 else None
    if form is not None:
        base = " ".join(form["base"].split())
        known = _NAMES.get(base) or _ALIASES.get(base)
        if known is not None:
            return f"write {known.value}{'[]' if form['array'] else ''}"
    near = closest(name, [*_NAMES, *_ALIASES])
    if near is not None:
        return f"did you mean {_NAMES.get(near) or _ALIASES[near]}?"
    scalars = ", ".join(type_.value for type_ in ColumnType if type_.element is None)
    return f"known types: {scalars}, and arrays such as text[]"
