"""Rules of one collection as a tree of field names, made once and walked for each document."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from replicator_service.core.masking.rules import ANY_FIELD, KEY, MaskKind
from replicator_service.core.masking.values import is_whole, key_replacement, replacement

if TYPE_CHECKING:
    from collections.abc import Callable

    from replicator_service.core.masking.key import MaskKey
    from replicator_service.core.masking.rules import Mask, Path, Rules
    from replicator_service.core.masking.values import BsonValue

_KEY_NAME = KEY[0].encode()


@dataclass(slots=True)
class Leaf:
    """What becomes of a field: without ``replace`` it is left out. ``is_whole``: an array is one value.

    ``secret`` is the key of an ``hmac``, ``is_key`` tells that of ``_id``. ``kept`` is how many characters are, and
    whether the last ones; ``fixed`` is what stands in place of every value. ``replace`` does all of that.
    """

    replace: Callable[[int, bytes], BsonValue] | None
    is_whole: bool = True
    secret: bytes | None = field(default=None, repr=False)
    is_key: bool = False
    kept: tuple[int, bool] | None = None
    fixed: BsonValue | None = None


@dataclass(slots=True)
class Node:
    """Fields of a sub-document: by name, and ``any`` for those with other names."""

    fields: dict[bytes, Node | Leaf | None] = field(default_factory=dict)
    """None stays as it is, whatever holds for the others."""
    any: Node | Leaf | None = None
    search: Callable[[bytes, int, int], re.Match[bytes] | None] | None = None
    """Finds where one of the names may stand, at the earliest; None where every field is concerned."""


def tree_of(rules: Rules, key: MaskKey | None) -> Node:
    """Compile rules; ``key`` is there when they need one. No rule but its own reaches ``_id``."""
    root = Node()
    for path in rules.exclude:
        _put(root, path, Leaf(None))
    own: Leaf | None = None
    for path, mask in rules.masks:
        if path == KEY and key is not None:
            own = Leaf(key_replacement(key), secret=key.secret, is_key=True)
            continue
        _put(root, path, _leaf(mask, key))
    if own is not None:
        root.fields[_KEY_NAME] = own
    _finish(root)
    if root.any is not None and own is None:
        root.fields[_KEY_NAME] = None
    return root


def _leaf(mask: Mask, key: MaskKey | None) -> Leaf:
    replace = replacement(mask, key)
    leaf = Leaf(replace, is_whole(mask))
    match mask.kind:
        case MaskKind.HMAC:
            leaf.secret = None if key is None else key.secret
        case MaskKind.KEEP_FIRST | MaskKind.KEEP_LAST:
            leaf.kept = (mask.count, mask.kind is MaskKind.KEEP_LAST)
        case MaskKind.NULL | MaskKind.CONSTANT:
            leaf.fixed = replace(0, b"")
        case _:
            pass
    return leaf


def _put(node: Node, path: Path, leaf: Leaf) -> None:
    """Add a path. Names may hold dots: ``a.b`` is the field ``b`` in ``a`` and the field ``a.b``; both are meant."""
    for end in range(1, len(path) + 1):
        if ANY_FIELD in path[:end] and end > 1:
            return
        rest = path[end:]
        if path[0] == ANY_FIELD:
            if not rest:
                node.any = leaf
            elif not isinstance(node.any, Leaf):
                node.any = _below(node.any, rest, leaf)
            continue
        name = ".".join(path[:end]).encode()
        there = node.fields.get(name)
        if not rest:
            node.fields[name] = leaf
        elif not isinstance(there, Leaf):
            node.fields[name] = _below(there, rest, leaf)


def _below(node: Node | None, rest: Path, leaf: Leaf) -> Node:
    below = node or Node()
    _put(below, rest, leaf)
    return below


def _finish(node: Node) -> None:
    """What ``any`` says holds for named fields as well, unless they have a leaf; then make the search."""
    if isinstance(node.any, Node):
        for name, child in node.fields.items():
            if isinstance(child, Node):
                node.fields[name] = _merged(child, node.any)
    elif node.any is not None:
        node.fields = {name: child for name, child in node.fields.items() if isinstance(child, Leaf)}
    below: tuple[Node | Leaf | None, ...] = (*node.fields.values(), node.any)
    for each in below:
        if isinstance(each, Node):
            _finish(each)
    if node.any is None:
        names = b"|".join(re.escape(name) for name in sorted(node.fields, key=len, reverse=True))
        node.search = re.compile(b"(?:" + names + b")\0", re.DOTALL).search


def _merged(one: Node, other: Node) -> Node:
    """Both sets of rules; where both have a leaf, that of ``one``; a leaf wins over what goes deeper."""
    merged = Node(dict(one.fields), one.any)
    for name, child in other.fields.items():
        if child is not None:
            merged.fields[name] = _either(merged.fields.get(name), child)
    if other.any is not None:
        merged.any = _either(merged.any, other.any)
    return merged


def _either(one: Node | Leaf | None, other: Node | Leaf) -> Node | Leaf:
    if one is None:
        return other
    if isinstance(one, Node) and isinstance(other, Node):
        return _merged(one, other)
    return one if isinstance(one, Leaf) else other
