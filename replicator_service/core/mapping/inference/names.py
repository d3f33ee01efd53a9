"""Names of proposed columns and children: snake_case of the path, each once, none that is taken already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.core import naming
from replicator_service.core.mapping.columns import OWN_COLUMNS, SYSTEM_COLUMNS
from replicator_service.core.mapping.inference.reserved import RESERVED

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

_TAKEN = OWN_COLUMNS | SYSTEM_COLUMNS


def column_names(paths: Sequence[tuple[str, ...]], taken: Collection[str] = ()) -> list[str]:
    """Return a column's name for each path, none of those that are ``taken`` already.

    A field that is called as its column goes before those that only become so.
    """
    taken = _TAKEN | frozenset(taken)
    wanted = [_unreserved(naming.column_name(path)) for path in paths]
    names = [name if path == (name,) and name not in taken else "" for path, name in zip(paths, wanted, strict=True)]
    taken |= set(names)
    for position, name in enumerate(wanted):
        if not names[position]:
            names[position] = _free(name, taken)
            taken |= {names[position]}
    return names


def _unreserved(name: str) -> str:
    """Return another name for a word of SQL: ``select user`` is the role's name, ``select order`` an error."""
    return f"{name}_value" if name in RESERVED else name


def child_keys(paths: Iterable[tuple[str, ...]]) -> list[str]:
    """Return for each array the key of its child table: its path where dots can divide that, a name elsewhere."""
    keys: list[str] = []
    for path in paths:
        text = ".".join(path)
        is_plain = all(path) and tuple(text.split(".")) == path
        keys.append(_free(text if is_plain else naming.column_name(path), frozenset(keys)))
    return keys


def _free(name: str, taken: frozenset[str] | set[str]) -> str:
    """Return the name, with a number behind it when it is taken."""
    free, number = name, 1
    while free in taken:
        number += 1
        suffix = f"_{number}"
        free = naming.cut(name, naming.MAX_NAME_BYTES - len(suffix)) + suffix
    return free
