"""Paths of rules that no column mentions, as far as the file alone can tell: documents may have any field.

Of a collection with columns, one that is nearly a column's path is probably that one, misspelled. Whether the others
exist only documents tell (``replicator check``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from replicator_service.core.mapping.problems import closest
from replicator_service.core.masking.rules import KEY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from replicator_service.core.mapping.model import Mapping, TypedCollection
    from replicator_service.core.masking.rules import Path


@dataclass(frozen=True, slots=True)
class UnmentionedPath:
    """A path of a rule that is in no column; ``meant`` is the column's path that was probably meant."""

    collection: str
    path: str
    meant: str | None

    def __str__(self) -> str:
        if self.meant is None:
            return f"{self.collection}: {self.path} is in no column"
        return f"{self.collection}: {self.path} is in no column; did you mean {self.meant}?"


def unmentioned_paths(mapping: Mapping) -> list[UnmentionedPath]:
    """Every path of a rule that no column or child table mentions, collection by collection."""
    typed = {each.collection: each for each in mapping.collections}
    found = []
    for name, rules in mapping.rules.items():
        known = set(_paths_of(typed[name])) if name in typed else set()
        texts = sorted({".".join(each) for each in known})
        for path in (*rules.exclude, *(path for path, _ in rules.masks)):
            if path != KEY and not any(_concerns(path, each) for each in known):
                text = ".".join(path)
                found.append(UnmentionedPath(name, text, closest(text, texts)))
    return found


def _paths_of(collection: TypedCollection) -> Iterator[Path]:
    for column in collection.columns:
        yield column.path
    for child in collection.children:
        for column in child.columns:
            yield column.path if column.from_parent else (*child.path, *column.path)


def _concerns(rule: Path, path: Path) -> bool:
    """Whether one is the other, or in it: a column may hold a sub-document whole."""
    return all(one in ("*", other) for one, other in zip(rule, path, strict=False))
