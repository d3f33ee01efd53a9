"""What has to hold across the parts of a mapping: one column for a field, one source for a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.core.mapping.problems import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from replicator_service.core.mapping.problems import Place, Problems
    from replicator_service.core.mapping.tables import ReadCollection, ReadTable

_Taken = dict[tuple[str, ...], "Place"]
_KEY_PATH = "_id"


def check_rules(collections: Sequence[ReadCollection], problems: Problems) -> None:
    """Note everything that is right by itself and wrong together."""
    _check_tables([each for each in collections if each.is_typed], problems)
    for collection in collections:
        arrays = [(child.path, child.place) for child in collection.children if child.path]
        _check_key(arrays, problems)
        _check_disjoint([*_own_paths(collection.table), *arrays], problems)
        for child in collection.children:
            _check_disjoint(_own_paths(child), problems)


def _check_tables(collections: Iterable[ReadCollection], problems: Problems) -> None:
    """Two sources of one table would overwrite each other's rows."""
    first: dict[str, Place] = {}
    for collection in collections:
        for table in (collection.table, *collection.children):
            taken = first.setdefault(table.name, table.place)
            if taken is not table.place:
                message = f"the table {quoted(table.name)} is already filled from line {taken.line}"
                problems.add(table.place, message, "give one of them another `table`")


def _check_key(arrays: Iterable[tuple[tuple[str, ...], Place]], problems: Problems) -> None:
    for path, place in arrays:
        if path[0] == _KEY_PATH:
            message = "MongoDB allows no array as _id, so there are no elements to make rows of"
            problems.add(place, message, "map the _id, or a field of it, as a column")


def _check_disjoint(paths: Sequence[tuple[tuple[str, ...], Place]], problems: Problems) -> None:
    """Two columns must not take one field, nor one of them a part of what the other takes."""
    taken: _Taken = {}
    inside: _Taken = {}
    for path, place in paths:
        clash = taken.get(path) or inside.get(path)
        for length in range(1, len(path)):
            clash = clash or taken.get(path[:length])
        if clash is not None:
            _report_clash(path, place, clash, problems)
            continue
        taken[path] = place
        for length in range(1, len(path)):
            inside.setdefault(path[:length], place)


def _report_clash(path: tuple[str, ...], place: Place, other: Place, problems: Problems) -> None:
    message = f"the field {quoted('.'.join(path))}, or a part of it, is already taken in line {other.line}"
    problems.add(place, message, "map every field once")


def _own_paths(table: ReadTable) -> list[tuple[tuple[str, ...], Place]]:
    """Return the paths whose fields the table takes; what a child repeats from its parent, it does not take."""
    return [(read.column.path, read.place) for read in table.columns if not read.column.from_parent]
