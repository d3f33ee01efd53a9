"""BSON in, BSON out: excluded elements are left out, masked ones replaced, all others stay byte for byte.

Names are looked for in the bytes at once, and elements are walked only as far as the last place where one may stand. A
name that occurs twice in a document is treated twice. Bytes that are no BSON raise :class:`bson.errors.InvalidBSON`
or :class:`ValueError`: they go nowhere.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from bson.errors import InvalidBSON

from replicator_service.core.codec.elements import ARRAY, CODE_WITH_SCOPE, DOCUMENT, value_end
from replicator_service.core.masking.tree import Leaf, Node
from replicator_service.core.masking.values import MASKED_NULL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_int32: Callable[[bytes, int], tuple[int]] = Struct("<i").unpack_from

_STRING = 0x02
_SIZES = {0x01: 8, 0x07: 12, 0x08: 1, 0x09: 8, 0x0A: 0, 0x10: 4, 0x12: 8}
"""Of the usual kinds; the others are left to :func:`value_end`."""


def masked_document(raw: bytes, node: Node) -> bytes:
    """A document as the rules leave it; ``raw`` itself when they change nothing."""
    return masked_part(raw, 0, node) or raw


def masked_part(raw: bytes, start: int, node: Node) -> bytes | None:
    """The document that begins at ``start``, as the rules leave it; None when they change nothing."""
    end = start + _int32(raw, start)[0] - 1
    if not start < end < len(raw) or raw[end]:
        raise InvalidBSON("a document's length is wrong")
    position = start + 4
    next_name = _next_name(node, raw, position, end)
    if next_name > end:
        return None
    pieces: list[bytes] = []
    copied = position
    fields, other = node.fields, node.any
    while position < end:
        name_end = raw.index(b"\0", position + 1, end)
        after = _end_of_value(raw, name_end + 1, raw[position])
        if not name_end < after <= end:
            raise InvalidBSON("a value reaches beyond its document")
        if next_name == position + 1:
            rule = fields.get(raw[next_name:name_end], other)
            changed = None if rule is None else changed_value(raw[position], raw[name_end + 1 : after], rule)
            if changed is not None:
                pieces.append(raw[copied:position])
                if changed:
                    pieces.append(changed[:1] + raw[next_name : name_end + 1] + changed[1:])
                copied = after
        position = after
        if next_name <= position:
            next_name = _next_name(node, raw, position, end)
            if next_name > end:
                break
    return _document([*pieces, raw[copied:end]]) if pieces else None


def _next_name(node: Node, raw: bytes, position: int, end: int) -> int:
    """Where the next name that concerns us may begin, from the element at ``position`` on; behind ``end``: nowhere."""
    if node.search is None:
        return position + 1
    found = node.search(raw, position + 1, end)
    return end + 1 if found is None else found.start()


def _end_of_value(raw: bytes, value: int, kind: int) -> int:
    """What :func:`value_end` gives, sooner for the usual kinds."""
    if kind == _STRING:
        return value + 4 + _int32(raw, value)[0]
    if kind in (DOCUMENT, ARRAY):
        return value + _int32(raw, value)[0]
    size = _SIZES.get(kind)
    return value_end(raw, kind, value) if size is None else value + size


def changed_value(kind: int, value: bytes, rule: Node | Leaf) -> bytes | None:
    """The kind and the value that stand in place of this one; empty when nothing does, None when it stays."""
    if isinstance(rule, Node):
        if kind == DOCUMENT:
            inner = masked_part(value, 0, rule)
        elif kind == ARRAY:
            inner = _elements_below(value, rule)
        else:
            # The scope of code is a document as well, but no path goes there.
            return bytes(MASKED_NULL[:1]) if kind == CODE_WITH_SCOPE else None
        return None if inner is None else bytes([kind]) + inner
    if rule.replace is None:
        return b""
    if kind == ARRAY and not rule.is_whole:
        return bytes([ARRAY]) + _each_masked(value, rule)
    new_kind, new_value = rule.replace(kind, value)
    return bytes([new_kind]) + new_value


def _elements_below(array: bytes, node: Node) -> bytes | None:
    """An array whose documents are masked; arrays in it are gone into as well."""
    pieces = []
    has_changed = False
    for kind, name, value in _elements(array):
        inner = None
        if kind == DOCUMENT:
            inner = masked_part(value, 0, node)
        elif kind == ARRAY:
            inner = _elements_below(value, node)
        has_changed |= inner is not None
        pieces.append(bytes([kind]) + name + b"\0" + (value if inner is None else inner))
    return _document(pieces) if has_changed else None


def _each_masked(array: bytes, leaf: Leaf) -> bytes:
    """An array with every value masked, those of arrays in it as well; sub-documents are no values."""
    pieces = []
    for kind, name, value in _elements(array):
        if kind == ARRAY:
            pieces.append(bytes([ARRAY]) + name + b"\0" + _each_masked(value, leaf))
        else:
            new_kind, new_value = MASKED_NULL if leaf.replace is None else leaf.replace(kind, value)
            pieces.append(bytes([new_kind]) + name + b"\0" + new_value)
    return _document(pieces)


def _document(pieces: list[bytes]) -> bytes:
    body = b"".join(pieces)
    return (len(body) + 5).to_bytes(4, "little") + body + b"\0"


def _elements(array: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    position, end = 4, len(array) - 1
    while position < end:
        name_end = array.index(b"\0", position + 1)
        after = value_end(array, array[position], name_end + 1)
        if after > end:
            raise InvalidBSON("a value reaches beyond its array")
        yield array[position], array[position + 1 : name_end], array[name_end + 1 : after]
        position = after
