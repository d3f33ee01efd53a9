"""The pass over documents: what they become is compared with the rows that are there.

Reading, transforming and comparing overlap: MongoDB sends the next documents and PostgreSQL prints the rows of the
previous ones while these are transformed. Where the bytes are the same nothing else happens. Documents whose rows are
printed otherwise, or may be, are compared by PostgreSQL, value by value; they are at hand to be repaired at once.
Memory holds a few replies of MongoDB, each of 16 MB at most.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from replicator_service.core.codec.exact import source_id
from replicator_service.core.codec.key import encode_key
from replicator_service.core.errors import RecordRejected
from replicator_service.core.reconciliation import Difference, DifferenceKind
from replicator_service.reconcile.encoding import Encoded, EncodedReply, Encoding, encode
from replicator_service.reconcile.findings import Findings, detail_of, differences_of_rows
from replicator_service.reconcile.printing import print_and_compare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from replicator_service.core.replies import Reply
    from replicator_service.reconcile.compared_collection import ComparedCollection
    from replicator_service.reconcile.comparison_point import ComparisonPoint
    from replicator_service.sink.reconcile.comparison import Comparison, RowDifference

_COMPARED_AHEAD = 2
"""So many replies wait for PostgreSQL, or are being compared there."""


@dataclass(slots=True)
class Counted:
    """How many rows of each table belong to a document that was read: the others are unexpected."""

    rows: list[int]


class _Comparing(NamedTuple):
    """A reply that PostgreSQL is busy with: its printed rows, and the documents that it compares."""

    reply: Reply
    encoded: EncodedReply
    printing: Future[tuple[list[int], list[int]]]
    comparing: Future[list[RowDifference]]


class DocumentPass:
    """One pass over the documents of a part at one comparison point.

    ``repair`` repairs keys, given with their ``_id``s, and returns those that it has repaired.
    """

    def __init__(
        self,
        compared: ComparedCollection,
        comparison: Comparison,
        point: ComparisonPoint,
        findings: Findings,
        *,
        encoder: Encoding,
        repair: Callable[[dict[str, Any]], set[str]],
        advanced: Callable[[int], None],
    ) -> None:
        self._compared = compared
        self._comparison = comparison
        self._point = point
        self._findings = findings
        self._encoder = encoder
        self._repair = repair
        self._advanced = advanced
        self.counted = Counted([0] * len(compared.tables))
        self._encoding: deque[tuple[Reply, Future[EncodedReply]]] = deque()
        self._comparing: deque[_Comparing] = deque()
        self._is_printed = True
        """Not after a reply most of whose rows were printed otherwise and yet equal."""
        self._sink: ThreadPoolExecutor

    def run(self, replies: Iterator[Reply]) -> None:
        """Compare every document."""
        with (
            ThreadPoolExecutor(1, thread_name_prefix="source") as source,
            ThreadPoolExecutor(1, thread_name_prefix="sink") as self._sink,
        ):
            coming = source.submit(next, replies, None)
            while (reply := coming.result()) is not None:
                coming = source.submit(next, replies, None)
                encoding = self._encoder.submit(self._compared.mapping, reply, is_printed=self._is_printed)
                self._encoding.append((reply, encoding))
                while self._encoding and self._encoding[0][1].done():
                    self._compare_next()
            while self._encoding:
                self._compare_next()
            while self._comparing:
                self._finish_next()

    def _compare_next(self) -> None:
        """Hand the reply that was encoded first to PostgreSQL."""
        reply, coming = self._encoding.popleft()
        encoded = coming.result()
        if len(self._comparing) == _COMPARED_AHEAD:
            self._finish_next()
        self._comparing.append(
            _Comparing(
                reply,
                encoded,
                self._sink.submit(print_and_compare, self._comparison, encoded),
                self._sink.submit(self._comparison.compare, encoded.others.tables),
            )
        )

    def _finish_next(self) -> None:
        """Take the first result; what PostgreSQL cannot hold is found by halves, as the writer does it."""
        reply, encoded, printing, comparing = self._comparing.popleft()
        unwritable = list(encoded.others.unwritable)
        otherwise, counts = printing.result()
        for number, count in enumerate(counts):
            self.counted.rows[number] += count
        try:
            rows = comparing.result()
            self._count(encoded.others, rows)
        except RecordRejected:
            ordinals = sorted(set(encoded.others.ordinals) - set(unwritable))
            rows = self._compare_apart(reply, ordinals, unwritable)
        if otherwise:
            found = self._compare_apart(reply, otherwise, unwritable)
            self._is_printed &= bool(found) or 2 * len(otherwise) < encoded.documents
            rows += found
        if rows or unwritable:
            self._add_differences(reply, rows, unwritable)
        reply.release()
        self._findings.documents += encoded.documents
        self._advanced(encoded.documents)

    def _compare_apart(self, reply: Reply, ordinals: list[int], unwritable: list[int]) -> list[RowDifference]:
        """Compare documents of which PostgreSQL cannot hold one; those that it cannot are added to ``unwritable``."""
        rows: list[RowDifference] = []
        waiting = [ordinals]
        while waiting:
            some = waiting.pop()
            encoded = encode(self._compared.transform, reply, some)
            try:
                found = self._sink.submit(self._comparison.compare, encoded.tables).result()
            except RecordRejected:
                if len(some) == 1:
                    unwritable += some
                else:
                    middle = len(some) // 2
                    waiting += [some[middle:], some[:middle]]
            else:
                unwritable += encoded.unwritable
                self._count(encoded, found)
                rows += found
        return rows

    def _count(self, encoded: Encoded, rows: Sequence[RowDifference]) -> None:
        """Count the rows that are there for these documents."""
        for number, lines in enumerate(encoded.tables):
            self.counted.rows[number] += lines.count
        for row in rows:
            self.counted.rows[row.table] += row.is_extra - row.is_missing

    def _add_differences(self, reply: Reply, rows: Sequence[RowDifference], unwritable: Sequence[int]) -> None:
        dead_letters = self._point.dead_letters
        differences = differences_of_rows(rows, self._compared.tables, dead_letters)
        ids = self._ids(reply, {each.key for each in differences} - dead_letters)
        self._findings.expect(differences)
        differences += self._unwritable(reply, unwritable)
        self._findings.add(differences, self._repair(ids) if ids else set())

    def _unwritable(self, reply: Reply, unwritable: Sequence[int]) -> Iterator[Difference]:
        """Documents that have no rows: whatever is there in their place, they are a difference."""
        if not unwritable:
            return
        keys = [key_of(reply, ordinal) for ordinal in unwritable]
        there = self._sink.submit(self._comparison.rows_with, keys).result()
        for number, counts in enumerate(there):
            self.counted.rows[number] += sum(counts.values())
        for key in keys:
            kind = DifferenceKind.DIFFERENT if key in there[0] else DifferenceKind.MISSING
            yield Difference(key, kind, detail_of(["the document cannot be written"], key, self._point.dead_letters))

    @staticmethod
    def _ids(reply: Reply, keys: set[str]) -> dict[str, Any]:
        """The ``_id``s behind keys."""
        if not keys:
            return {}
        ids = {}
        for index in range(reply.count):
            key = key_of(reply, index)
            if key in keys:
                ids[key] = reply.source_id(index)
        return ids


def key_of(reply: Reply, index: int) -> str:
    """The key of a document of a reply."""
    if reply.needs_exact(index):
        return encode_key(source_id(reply.raw(index)))
    return encode_key(reply.documents[index]["_id"])
