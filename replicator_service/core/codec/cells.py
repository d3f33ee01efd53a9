"""Cells of COPY by column type: the text of a value that fits, escaped; arrays as PostgreSQL's array literals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.core.codec.columns import SCALARS
from replicator_service.core.codec.copy_text import escape
from replicator_service.core.codec.extjson import json_text
from replicator_service.core.mapping.model import ColumnType

if TYPE_CHECKING:
    from collections.abc import Callable

    from replicator_service.core.bson.declaration import Fit, Value

    Cell = Callable[[Value], str | None]

_SPECIAL = frozenset({ColumnType.TEXT, ColumnType.JSONB, ColumnType.BYTEA})
"""Types whose text may hold a character that COPY or an array literal reads in its own way."""
_ONLY_STRINGS = {str}


def cell_of(column_type: ColumnType) -> Cell:
    """Return the function that turns a value other than null into a cell, or into None when it does not fit."""
    element = column_type.element
    if element is not None:
        array = _array(element)
        return _text_array(array) if element is ColumnType.TEXT else array
    fit = SCALARS[column_type]
    return _escaped(fit) if column_type in _SPECIAL else fit


def json_cell(value: Value) -> str:
    """Return a ``jsonb`` cell, with marks. Raises what :func:`json_text` raises."""
    text = json_text(value)
    # Tabs and line ends are escaped in JSON already.
    return text.replace("\\", "\\\\") if "\\" in text else text


def _escaped(fit: Fit) -> Cell:
    def cell(value: Value) -> str | None:
        text = fit(value)
        return None if text is None else escape(text)

    return cell


def _array(element: ColumnType) -> Cell:
    """Make the function for arrays: each element has to fit or be null. Only ``jsonb[]`` takes inner arrays."""
    fit = SCALARS[element]

    def cell(value: Value) -> str | None:
        if type(value) is not list:
            return None
        items = []
        for item in value:
            text = "NULL" if item is None else fit(item)
            if text is None:
                return None
            items.append(text if item is None else _quoted(text))
        return escape(f"{{{','.join(items)}}}")

    return cell


def _text_array(slow: Cell) -> Cell:
    """Make the function for ``text[]``: plain strings are joined without a look at each of them."""

    def cell(value: Value) -> str | None:
        # The driver's Code is a kind of string, so the types have to be looked at.
        if type(value) is not list or set(map(type, value)) != _ONLY_STRINGS:
            return slow(value)
        joined = "".join(value)
        if "\\" in joined or '"' in joined or "\t" in joined or "\n" in joined or "\r" in joined:
            return slow(value)
        if "$" in joined or "\0" in joined:
            return slow(value)
        return '{"' + '","'.join(value) + '"}'

    return cell


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
