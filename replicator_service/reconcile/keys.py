"""The pass over keys: rows that no document explains.

All keys of the collection are read from MongoDB's index and copied beside the tables; PostgreSQL finds the rows that
have none of them. Its disk is the limit, not memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from replicator_service.core.errors import Fatal
from replicator_service.core.reconciliation import Difference, DifferenceKind
from replicator_service.reconcile.documents import key_of
from replicator_service.reconcile.findings import Findings, detail_of
from replicator_service.reconcile.options import ALWAYS_ALLOWED_DELETES, Options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from replicator_service.core.replies import Reply
    from replicator_service.reconcile.compared_collection import ComparedCollection
    from replicator_service.reconcile.comparison_point import ComparisonPoint
    from replicator_service.sink.reconcile.comparison import Comparison, RowVersion

_BATCH_KEYS = 300


@dataclass(frozen=True, slots=True)
class Refusal:
    """A table of which a repair would delete too much."""

    table: str
    rows: int
    of: int


def keys_of(replies: Iterable[Reply]) -> Iterator[Sequence[str]]:
    """The keys of documents, reply by reply."""
    for reply in replies:
        yield [key_of(reply, index) for index in range(len(reply.documents))]
        reply.release()


class KeyPass:
    """Finds and deletes what is unexpected at one comparison point.

    ``delete`` removes rows that nobody has written since they were seen, and returns the keys that have no row left.
    """

    def __init__(
        self,
        compared: ComparedCollection,
        comparison: Comparison,
        point: ComparisonPoint,
        findings: Findings,
        options: Options,
        *,
        delete: Callable[[Sequence[RowVersion]], set[str]],
    ) -> None:
        self._compared = compared
        self._comparison = comparison
        self._point = point
        self._findings = findings
        self._options = options
        self._delete = delete

    def run(self) -> None:
        """Report, and repair if asked to; the keys have been copied before.

        Raises :class:`Fatal` when a repair would delete too large a share of a table: nothing is deleted then.
        """
        refusal = self._refusal() if self._options.repair else None
        is_repaired = self._options.repair and refusal is None
        batch: list[list[RowVersion]] = []
        for rows in self._comparison.unexpected():
            batch.append(rows)
            if len(batch) == _BATCH_KEYS:
                self._take(batch, is_repaired=is_repaired)
                batch = []
        self._take(batch, is_repaired=is_repaired)
        if refusal is not None:
            raise Fatal(
                f"the repair would delete {refusal.rows:,} of {refusal.of:,} rows of {refusal.table}, more than "
                f"{self._options.allow_deletes:.0%}: none of {self._compared.collection} was deleted",
                hint="Look at the differences first. If they are to go: --allow-deletes with a larger share (0 to 1).",
            )

    def _take(self, batch: Sequence[Sequence[RowVersion]], *, is_repaired: bool) -> None:
        if not batch:
            return
        dead_letters = self._point.dead_letters
        deleted = [row for rows in batch for row in rows if row.key not in dead_letters]
        differences = [self._difference(rows) for rows in batch]
        self._findings.expect(differences)
        gone = self._delete(deleted) if is_repaired and deleted else set()
        self._findings.add(differences, gone)

    def _difference(self, rows: Sequence[RowVersion]) -> Difference:
        tables = sorted({row.table for row in rows})
        details = (
            [] if tables[0] == 0 else [f"rows of {', '.join(self._compared.tables[each].name for each in tables)}"]
        )
        return Difference(
            rows[0].key, DifferenceKind.UNEXPECTED, detail_of(details, rows[0].key, self._point.dead_letters)
        )

    def _refusal(self) -> Refusal | None:
        counted = zip(
            self._compared.tables, self._comparison.count_unexpected(), self._comparison.counts(), strict=True
        )
        for table, unexpected, rows in counted:
            if unexpected > max(ALWAYS_ALLOWED_DELETES, self._options.allow_deletes * rows):
                return Refusal(table.name, unexpected, rows)
        return None
