"""MongoDB Relaxed Extended JSON v2 (the specification "Extended JSON") that ``jsonb`` stores without loss.

The writer dispatches on the exact type of each value: measured, that is faster than the C encoder of ``json``
with its hook for dates and ObjectIds, and a ``Code``, which is a kind of string in Python, cannot slip
through as one. What ``jsonb`` cannot hold is marked inside the text (:mod:`replicator_service.core.bson.marks`).
"""

from __future__ import annotations

from replicator_service.core.bson import TYPES
from replicator_service.core.bson.declaration import Json, Value
from replicator_service.core.bson.marks import AMBIGUOUS, unmarked


class InexactValue(Exception):
    """The driver's value may have lost something: start again from the document's bytes."""


class _Writers(dict[type, Json]):
    """What writes each class. A class of its own that merely derives from a known one is written like it."""

    def __missing__(self, kind: type) -> Json:
        for base in kind.__mro__[1:]:
            if base in self:
                return self[base]
        raise TypeError(f"{kind.__name__} is not a BSON type")


def _writers(*, exact: bool) -> _Writers:
    """Make the table of writers. ``exact`` refuses the classes of which the driver loses something."""
    writers = _Writers()
    for each in TYPES:
        write = each.json if each.json_with is None else each.json_with(writers)
        if write is None:
            raise TypeError(f"{each.name} has no JSON")
        writers |= dict.fromkeys(each.classes, write)
        writers |= dict.fromkeys(each.inexact_classes, _inexact if exact else write)
    return writers


def _inexact(_value: object) -> str:
    raise InexactValue


_EXACT = _writers(exact=True)
_LENIENT = _writers(exact=False)


def json_text(value: Value) -> str:
    """Write a decoded value, with marks.

    Raises :class:`InexactValue` for a DBRef or a regular expression as the driver has them: the document has
    to be decoded exactly. Raises :class:`TypeError` for what is no BSON type.
    """
    return _marked(_EXACT[type(value)](value))


def relaxed(value: Value) -> str:
    """Write a value as Relaxed Extended JSON that jsonb accepts. U+0000 becomes U+FFFD."""
    return unmarked(_marked(_LENIENT[type(value)](value)))


def is_faithful(value: Value) -> bool:
    """Whether every reader of :func:`relaxed` gets the value back: nothing is replaced, nothing ambiguous."""
    text = _marked(_LENIENT[type(value)](value))
    return "\0" not in text and AMBIGUOUS not in text


def _marked(text: str) -> str:
    if "\\" in text and "\\u0000" in text:
        # An escaped backslash may stand before "u0000". Taking those out from the left leaves the real escapes.
        return "\\\\".join(part.replace("\\u0000", "\0") for part in text.split("\\\\"))
    return text
