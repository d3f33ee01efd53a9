"""MongoDB Relaxed Extended JSON v2 (the specification "Extended JSON") that ``jsonb`` stores without loss.

The writer dispatches on the exact type of each value: measured, that is faster than the C encoder of ``json``
with its hook for dates and ObjectIds, and a ``Code``, which is a kind of string in Python, cannot slip
through as one.

What ``jsonb`` cannot hold is marked inside the text, because a mark costs nothing where there is none:

* U+0000 stays a raw character, which JSON text never has otherwise. It becomes U+FFFD in the table, and the
  original document is kept in ``_bson``.
* :data:`AMBIGUOUS`, a lone surrogate that no decoded string holds, stands in a field name like ``$oid`` that
  the source itself uses. It is removed, and ``_bson`` is kept: readers would take such a sub-document for an
  ObjectId.
* :data:`REWRITTEN` stands before a text that says in other characters what PostgreSQL cannot hold (see
  :mod:`identifiers`). It is removed, and ``_bson`` is kept. It begins with the mark above, so it costs no search.
* Bytes that are no UTF-8 are U+0000 and, each, a lone surrogate (see :mod:`exact`), which is removed.
"""

from __future__ import annotations

import re
from json.encoder import encode_basestring as quote
from typing import TYPE_CHECKING, Any

from bson.code import Code
from bson.dbref import DBRef
from bson.regex import Regex
from bson.son import SON

from replicator_service.core.codec.scalars import SCALARS, Writer, regex
from replicator_service.core.codec.values import (
    InexactValue,
    Value,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

AMBIGUOUS = "\udc01"
REWRITTEN = AMBIGUOUS + "\udc02"
REPLACEMENT = "\ufffd"

_REMOVED = re.compile("[\udc00-\udfff]")
_RESERVED = frozenset(
    {
        "$oid",
        "$symbol",
        "$numberInt",
        "$numberLong",
        "$numberDouble",
        "$numberDecimal",
        "$binary",
        "$uuid",
        "$code",
        "$timestamp",
        "$regularExpression",
        "$regex",
        "$dbPointer",
        "$date",
        "$minKey",
        "$maxKey",
        "$undefined",
    }
)


class _Names(dict[str, str]):
    """Field names as JSON with their colon, remembered. Bounded: names may be other people's data."""

    _LIMIT = 20_000
    _LONGEST = 100

    def __missing__(self, name: str) -> str:
        text = f'"{AMBIGUOUS}{name}":' if name in _RESERVED else f"{quote(name)}:"
        if len(self) < self._LIMIT and len(name) <= self._LONGEST:
            self[name] = text
        return text


class _Writers(dict[type, Writer]):
    """What writes each type. A type of its own that merely derives from a known one is written like it."""

    def __missing__(self, kind: type) -> Writer:
        for base in kind.__mro__[1:]:
            if base in self:
                return self[base]
        raise TypeError(f"{kind.__name__} is not a BSON type")


_NAMES = _Names()


def _writers(*, exact: bool) -> _Writers:
    """Make the table of writers. ``exact`` refuses the types of which the driver loses something."""
    writers = _Writers()

    def write_object(value: Mapping[str, Any]) -> str:
        fields = [
            f"{_NAMES[name]}{quote(item) if type(item) is str else writers[type(item)](item)}"
            for name, item in value.items()
        ]
        return f"{{{','.join(fields)}}}"

    def write_array(value: list[Any]) -> str:
        items = [write_object(item) if type(item) is dict else writers[type(item)](item) for item in value]
        return f"[{','.join(items)}]"

    def write_code(value: Code) -> str:
        code = quote(str(value))
        return (
            f'{{"$code":{code}}}' if value.scope is None else f'{{"$code":{code},"$scope":{write_object(value.scope)}}}'
        )

    writers.update(SCALARS)
    writers[dict] = writers[SON] = write_object
    writers[list] = writers[tuple] = write_array
    writers[Code] = write_code
    writers[DBRef] = _inexact if exact else lambda value: write_object(value.as_doc())
    writers[Regex] = _inexact if exact else regex
    return writers


def _inexact(_value: object) -> str:
    raise InexactValue


_EXACT = _writers(exact=True)
_LENIENT = _writers(exact=False)


def json_text(value: Value) -> str:
    """Write a decoded value, with marks (see the module).

    Raises :class:`InexactValue` for a DBRef or a regular expression as the driver has them: the document has
    to be decoded exactly. Raises :class:`TypeError` for what is no BSON type.
    """
    return _marked(_EXACT[type(value)](value))


def relaxed(value: Value) -> str:
    """Write a value as Relaxed Extended JSON that jsonb accepts. U+0000 becomes U+FFFD."""
    return unmarked(_marked(_LENIENT[type(value)](value)))


def unmarked(text: str) -> str:
    """Give what the table gets of a text with marks."""
    return _REMOVED.sub("", text.replace("\0", REPLACEMENT))


def is_faithful(value: Value) -> bool:
    """Whether every reader of :func:`relaxed` gets the value back: nothing is replaced, nothing ambiguous."""
    text = _marked(_LENIENT[type(value)](value))
    return "\0" not in text and AMBIGUOUS not in text


def _marked(text: str) -> str:
    if "\\" in text and "\\u0000" in text:
        # An escaped backslash may stand before "u0000". Taking those out from the left leaves the real escapes.
        return "\\\\".join(part.replace("\\u0000", "\0") for part in text.split("\\\\"))
    return text
