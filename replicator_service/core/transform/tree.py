"""The paths of a mapped table as a tree: each field is looked up once, however many columns are below it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from replicator_service.core.mapping.model import ChildTable, MappedColumn


@dataclass(slots=True)
class Node:
    """One field: the columns that take its value (by position), the child tables of its array, its sub-fields."""

    columns: list[int] = field(default_factory=list)
    children: list[int] = field(default_factory=list)
    fields: dict[str, Node] = field(default_factory=dict)

    def at(self, path: Iterable[str]) -> Node:
        """Return the node at a path below this one, made when it does not exist."""
        node = self
        for name in path:
            node = node.fields.setdefault(name, Node())
        return node


def tree_of(columns: Sequence[MappedColumn], children: Sequence[ChildTable] = ()) -> Node:
    """Build the tree of a table. Columns that a child takes from its parent do not belong to it."""
    root = Node()
    for position, column in enumerate(columns):
        if not column.from_parent:
            root.at(column.path).columns.append(position)
    for position, child in enumerate(children):
        root.at(child.path).children.append(position)
    return root
