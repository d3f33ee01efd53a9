"""YAML nodes read as what a mapping expects: a map, a list or a text. Anything else is a problem.

YAML guesses the type of an unquoted word, so ``on``, ``123`` or ``2024-01-01`` is no text although it looks
like one. Where a text is expected, such a word is a problem whose fix is a pair of quotes: guessing back
would differ from what editors and other YAML readers see.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from replicator_service.core.mapping.problems import Path, Place, Problems, closest, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable

_TAG = "tag:yaml.org,2002:"
_SCALARS = {
    "bool": "a boolean",
    "int": "a number",
    "float": "a number",
    "null": "nothing",
    "timestamp": "a date",
    "merge": "a merge key",
    "value": "YAML's value key",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a map, or one item of a list: where it stands, and its value."""

    key: str
    place: Place
    """Of the key; of the value in a list."""
    value: yaml.Node

    @property
    def path(self) -> Path:
        """The keys above the value, and its own."""
        return self.place.path

    @property
    def value_place(self) -> Place:
        """Where the value stands, under the same path."""
        return place_of(self.value, self.place.path)


def place_of(node: yaml.Node, path: Path) -> Place:
    """Tell where a node starts; YAML counts from 0, people from 1."""
    mark = node.start_mark
    return Place(mark.line + 1, mark.column + 1, path) if mark is not None else Place(1, 1, path)


def map_of(node: yaml.Node, path: Path, problems: Problems, *, what: str) -> dict[str, Entry] | None:
    """Read a map with text keys, each once; None when it is no map. ``what`` it is goes into the problem."""
    if not isinstance(node, yaml.MappingNode) or node.tag != f"{_TAG}map":
        problems.add(place_of(node, path), f"expected {what}, found {_described(node)}", _map_fix(node, what))
        return None
    entries: dict[str, Entry] = {}
    for key_node, value in node.value:
        key = _key(key_node, path, problems)
        if key is None:
            continue
        place = place_of(key_node, (*path, key))
        if key in entries:
            first = entries[key].place
            message = f"the key stands here for the second time, first in line {first.line}"
            problems.add(place, message, "keep one of them")
        else:
            entries[key] = Entry(key, place, value)
    return entries


def known_keys(entries: dict[str, Entry], known: Iterable[str], problems: Problems) -> None:
    """Note every key that is not known, with the one that was probably meant."""
    names = tuple(known)
    for entry in entries.values():
        if entry.key not in names:
            meant = closest(entry.key, names)
            fix = f"did you mean {meant}?" if meant else f"known here: {', '.join(names)}"
            problems.add(entry.place, "unknown key", fix)


def list_of(node: yaml.Node, path: Path, problems: Problems, *, what: str) -> list[Entry] | None:
    """Read a list; None when it is something else."""
    if not isinstance(node, yaml.SequenceNode) or node.tag != f"{_TAG}seq":
        problems.add(place_of(node, path), f"expected {what}, found {_described(node)}", "write it as [a, b]")
        return None
    return [Entry(str(position), place_of(item, (*path, position)), item) for position, item in enumerate(node.value)]


def text_of(node: yaml.Node, path: Path, problems: Problems, *, what: str) -> str | None:
    """Read a text that UTF-8 can hold, possibly empty; None when it is something else."""
    if not is_text(node):
        problems.add(place_of(node, path), f"expected {what}, found {_described(node)}", _text_fix(node))
        return None
    text: str = node.value
    return text if _storable(text, place_of(node, path), problems) else None


def is_text(node: yaml.Node) -> bool:
    """Tell whether YAML took the node for a text."""
    return isinstance(node, yaml.ScalarNode) and node.tag == f"{_TAG}str"


def _key(node: yaml.Node, path: Path, problems: Problems) -> str | None:
    if not is_text(node):
        fix = _text_fix(node)
        if node.tag == f"{_TAG}merge":
            fix = "write the keys out, merge keys are not supported"
        problems.add(place_of(node, path), f"expected a name as the key, found {_described(node)}", fix)
        return None
    key: str = node.value
    return key if _storable(key, place_of(node, path), problems) else None


def _storable(text: str, place: Place, problems: Problems) -> bool:
    """Refuse what neither a name in MongoDB nor one in PostgreSQL can hold."""
    if "\0" in text:
        problems.add(place, "the text holds the character U+0000", "remove it")
        return False
    if any("\ud800" <= character <= "\udfff" for character in text):
        problems.add(place, "the text holds half of a surrogate pair", "write the whole character")
        return False
    return True


def _described(node: yaml.Node) -> str:
    kind = node.tag.removeprefix(_TAG)
    if isinstance(node, yaml.MappingNode):
        return "a map" if kind == "map" else f"the tag {quoted(node.tag)}"
    if isinstance(node, yaml.SequenceNode):
        return "a list" if kind == "seq" else f"the tag {quoted(node.tag)}"
    if kind == "str":
        return f"the text {quoted(node.value)}"
    if kind not in _SCALARS:
        return f"the tag {quoted(node.tag)}"
    return f"{_SCALARS[kind]} ({node.value[:20]})" if node.value and kind != "null" else _SCALARS[kind]


def _text_fix(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode) and node.value and node.tag.removeprefix(_TAG) in _SCALARS:
        return f"write {quoted(node.value)} in quotes"
    return "write a name"


def _map_fix(node: yaml.Node, what: str) -> str:
    if node.tag == f"{_TAG}null":
        return "fill it or remove the key"
    return f"write {what} as `name: value` lines, indented"
