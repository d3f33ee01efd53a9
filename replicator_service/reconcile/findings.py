"""What one part has found so far, bounded in memory."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from replicator_service.core.reconciliation import Difference, DifferenceKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from replicator_service.core.mapping.model import TableSpec
    from replicator_service.sink.reconcile.comparison import RowDifference

KEPT = 10_000
DEAD_LETTER = "dead letter"


class Findings:
    """Counts every difference and keeps the first ones. A part that begins again keeps what it has repaired.

    ``remember`` stores differences within the transaction that repairs them: a process that is killed after it has not
    repaired without a word.
    """

    def __init__(self, remember: Callable[[Sequence[Difference]], None] = lambda _: None) -> None:
        self._remember = remember
        self._expected: dict[str, Difference] = {}
        self.documents = 0
        self.count = 0
        self.repaired = 0
        self.kept: list[Difference] = []

    def add(self, differences: Iterable[Difference], repaired: set[str]) -> None:
        """Take differences, with the keys of those that were repaired."""
        for difference in differences:
            is_repaired = difference.key in repaired
            self.count += 1
            self.repaired += is_repaired
            if len(self.kept) < KEPT:
                self.kept.append(replace(difference, repaired=is_repaired))

    def expect(self, differences: Iterable[Difference]) -> None:
        """These may be repaired next."""
        self._expected = {difference.key: difference for difference in differences}

    def repairing(self, keys: Iterable[str]) -> None:
        """These keys of the expected ones are repaired by the transaction that is open."""
        found = [replace(self._expected[key], repaired=True) for key in sorted(keys) if key in self._expected]
        if found:
            self._remember(found)

    def begin_again(self) -> None:
        """Forget everything but what was repaired: it cannot be found again."""
        self.documents = 0
        self.count = self.repaired
        self.kept = [difference for difference in self.kept if difference.repaired]


def differences_of_rows(
    rows: Sequence[RowDifference], tables: Sequence[TableSpec], dead_letters: frozenset[str]
) -> list[Difference]:
    """Put the rows of each key together: a key is missing when its row in the parent table is."""
    by_key: dict[str, list[RowDifference]] = {}
    for row in rows:
        by_key.setdefault(row.key, []).append(row)
    return [_difference(key, found, tables, dead_letters) for key, found in by_key.items()]


def _difference(
    key: str, rows: Sequence[RowDifference], tables: Sequence[TableSpec], dead_letters: frozenset[str]
) -> Difference:
    if any(row.table == 0 and row.is_missing for row in rows):
        return Difference(key, DifferenceKind.MISSING, detail_of([], key, dead_letters))
    columns = sorted({column for row in rows if row.table == 0 for column in row.columns})
    details = [f"columns {', '.join(columns)}"] if columns else []
    for number, table in enumerate(tables):
        children = [row for row in rows if row.table == number]
        if number and children:
            details.append(f"{table.name}: {_told(children)}")
    return Difference(key, DifferenceKind.DIFFERENT, detail_of(details, key, dead_letters))


def detail_of(details: Sequence[str], key: str, dead_letters: frozenset[str]) -> str:
    """One line; that a document waits in the dead letters explains everything else."""
    return "; ".join([DEAD_LETTER, *details] if key in dead_letters else details)


def _told(rows: Sequence[RowDifference]) -> str:
    missing = sum(row.is_missing for row in rows)
    extra = sum(row.is_extra for row in rows)
    changed = len(rows) - missing - extra
    counts = ((missing, "missing"), (extra, "unexpected"), (changed, "different"))
    return ", ".join(f"{count} {kind}" for count, kind in counts if count)
