"""Counts what the rows of a collection leave over. A document that fits its columns never comes here.

The generated code gives one list for each document that left something, of three kinds of items:

* a number: cells in which a character was replaced;
* a path: a value that did not fit there;
* a path with a tuple of names: fields below it that no column takes. Documents of one shape give equal ones, so that
  they are counted as shapes: one look into a dictionary, however many fields there are.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, cast

from replicator_service.core.schema_findings import MAX_PATHS, OTHERS, FindingKind, Path, PathCount, path_text

if TYPE_CHECKING:
    from collections.abc import Iterable


NewFields = tuple[Path, tuple[str, ...]]
Left = list[int | Path | NewFields]

_MAX_SHAPES = 1_000
"""Different shapes that are kept before they are counted field by field."""


class Leftovers:
    """The counts of one transform. Threads may share it."""

    def __init__(self, collection: str) -> None:
        self._collection = collection
        self._lock = threading.Lock()
        self._altered = 0
        self._misfits: Counter[Path] = Counter()
        self._shapes: dict[NewFields, int] = {}
        self._new: Counter[str] = Counter()

    @property
    def altered(self) -> int:
        """Values that did not fit, and cells in which a character was replaced: ever."""
        return self._altered

    def add(self, left: Left, times: int = 1) -> None:
        """Count what a document, or so many of one kind, have left: called after everything else."""
        with self._lock:
            for each in left:
                if isinstance(each, int):
                    self._altered += each * times
                elif type(each[0]) is tuple:
                    shape = each
                    known = self._shapes.get(shape)
                    if known is None and len(self._shapes) >= _MAX_SHAPES:
                        self._count_fields()
                    self._shapes[shape] = times if known is None else known + times
                else:
                    self._altered += times
                    self._misfits[cast("Path", each)] += times

    def take(self) -> tuple[PathCount, ...]:
        """Return what was counted since the last time, and begin again."""
        if not self._misfits and not self._shapes and not self._new:
            return ()
        with self._lock:
            self._count_fields()
            misfits: Counter[str] = Counter()
            for path, count in self._misfits.items():
                misfits[path_text(path)] += count
            found = [
                *self._counts(FindingKind.MISFIT, misfits.items()),
                *self._counts(FindingKind.NEW_FIELD, self._new.items()),
            ]
            self._misfits, self._new = Counter(), Counter()
        return tuple(found)

    def _counts(self, kind: FindingKind, counts: Iterable[tuple[str, int]]) -> Iterable[PathCount]:
        return (PathCount(self._collection, path, kind, count) for path, count in counts)

    def _count_fields(self) -> None:
        for (above, names), count in self._shapes.items():
            for name in names:
                path = path_text((*above, name))
                self._new[path if path in self._new or len(self._new) < MAX_PATHS else OTHERS] += count
        self._shapes = {}
