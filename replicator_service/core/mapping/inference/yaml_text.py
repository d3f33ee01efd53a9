"""Pieces of YAML as a person would write them: quotes only where they are needed, comments in one column."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from replicator_service.core.mapping.inference.proposal import Path
    from replicator_service.core.mapping.model import MappedColumn

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*")
_TAKEN_FOR_SOMETHING_ELSE = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_MAX_ALIGNED = 64
"""Lines that are longer do not push the comments of all the others to the right."""


def scalar(text: str) -> str:
    """Write a text so that every reader of YAML takes it for that text."""
    if _PLAIN.fullmatch(text) and text.lower() not in _TAKEN_FOR_SOMETHING_ELSE:
        return text
    return _quoted(text)


def path_text(path: Path) -> str:
    """Write a path: divided by dots, or as a list where a name is empty or has a dot itself."""
    text = ".".join(path)
    if all(path) and tuple(text.split(".")) == path:
        return scalar(text)
    return f"[{', '.join(scalar(name) if '.' not in name else _quoted(name) for name in path)}]"


def column_text(column: MappedColumn) -> str:
    """Write a column in one line, in its short form where the field is called as the column."""
    if column.path == (column.name,):
        return f"{scalar(column.name)}: {column.type.value}"
    # Inside braces an array type needs quotes.
    type_ = column.type.value if column.type.element is None else f'"{column.type.value}"'
    return f"{scalar(column.name)}: {{path: {path_text(column.path)}, type: {type_}}}"


def commented(lines: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Put a comment behind each line, all of them in the same column."""
    pairs = list(lines)
    width = max((len(text) for text, _ in pairs if len(text) <= _MAX_ALIGNED), default=0)
    for text, comment in pairs:
        yield f"{text.ljust(width)}  # {comment}"


def _quoted(text: str) -> str:
    return '"' + "".join(_escaped(character) for character in text) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable():
        return character
    code = ord(character)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
