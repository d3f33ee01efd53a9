"""Indexes of a mapping file: plain B-trees over columns that can be compared and are short."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from replicator_service.core.mapping.model import ColumnType
from replicator_service.core.mapping.nodes import Entry, is_text, list_of, text_of
from replicator_service.core.mapping.problems import Place, Problems, closest, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from replicator_service.core.mapping.columns import ReadColumn

MAX_INDEX_COLUMNS = 32
"""PostgreSQL's own limit (INDEX_MAX_KEYS)."""

_OWN_INDEXABLE = ("_id", "etl_valid_from")
_OWN_INDEXABLE_OF_CHILD = ("_id", "_ordinal", "etl_valid_from")


@dataclass(frozen=True, slots=True)
class ReadIndex:
    """An index and where the file asks for it."""

    columns: tuple[str, ...]
    place: Place


def read_indexes(
    entry: Entry, columns: Mapping[str, ReadColumn | None], problems: Problems, *, child: bool
) -> tuple[ReadIndex, ...]:
    """Read the list under ``indexes``: every item is a column, or a list of columns.

    ``columns`` are those of the table; one that is None has a problem of its own and is not judged again
    here.
    """
    own = _OWN_INDEXABLE_OF_CHILD if child else _OWN_INDEXABLE
    read: dict[tuple[str, ...], ReadIndex] = {}
    for item in list_of(entry.value, entry.path, problems, what="a list of indexes") or ():
        names = _read_names(item, problems)
        if names is None:
            continue
        for name, place in names:
            _check_column(name, place, columns, own, problems)
        key = tuple(name for name, _ in names)
        if len(key) > MAX_INDEX_COLUMNS:
            message = f"the index has {len(key)} columns, PostgreSQL allows {MAX_INDEX_COLUMNS}"
            problems.add(item.place, message, "name fewer")
        if len(set(key)) < len(key):
            problems.add(item.place, "the index names a column twice", "name each column once")
        if key in read:
            message = f"the index stands here for the second time, first in line {read[key].place.line}"
            problems.add(item.place, message, "remove one of them")
        read.setdefault(key, ReadIndex(key, item.place))
    return tuple(read.values())


def _read_names(item: Entry, problems: Problems) -> list[tuple[str, Place]] | None:
    """Read the columns of one index with their places, or None when it is not a list of texts."""
    if is_text(item.value):
        name = text_of(item.value, item.path, problems, what="a column")
        return None if name is None else [(name, item.place)]
    entries = list_of(item.value, item.path, problems, what="a column or a list of columns")
    if entries is None:
        return None
    if not entries:
        problems.add(item.place, "the index has no columns", "name at least one, or remove it")
        return None
    texts = [(text_of(part.value, part.path, problems, what="a column"), part.place) for part in entries]
    names = [(text, place) for text, place in texts if text is not None]
    return names if len(names) == len(texts) else None


def _check_column(
    name: str,
    place: Place,
    columns: Mapping[str, ReadColumn | None],
    own: tuple[str, ...],
    problems: Problems,
) -> None:
    if name in own:
        return
    if name not in columns:
        known = [*columns, *own]
        meant = closest(name, known)
        fix = f"did you mean {meant}?" if meant else "name a column of this table"
        problems.add(place, f"the table has no column {quoted(name)} that can be indexed", fix)
        return
    read = columns[name]
    if read is None:
        return
    type_ = read.column.type
    if type_ is ColumnType.JSONB or type_.element is not None:
        message = f"the column {quoted(name)} is {type_.value}, whose values are too long for a plain index"
        problems.add(place, message, "remove it here, and create the index that your queries need by hand")
