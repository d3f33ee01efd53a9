"""The pass over documents: what they become is compared with the rows that are there.

Reading, transforming and comparing overlap: MongoDB sends the next documents and PostgreSQL compares the previous ones
while these are transformed. Where everything is equal nothing else happens; where something is not, the documents
concerned are at hand to be repaired at once. Memory holds four replies of MongoDB, each of 16 MB at most.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from replicator_service.core.codec.exact import source_id
from replicator_service.core.codec.key import encode_key
from replicator_service.core.errors import RecordRejected
from replicator_service.core.reconciliation import Difference, DifferenceKind
from replicator_service.reconcile.findings import Findings, detail_of, differences_of_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from replicator_service.core.replies import Reply
    from replicator_service.reconcile.moment import Moment
    from replicator_service.reconcile.subject import Subject
    from replicator_service.sink.comparison import Comparison, RowDifference

_ANY_TIME = "\\N"
"""``etl_valid_from`` is not compared."""

_COMPARED_AHEAD = 2
"""So many replies wait for PostgreSQL, or are being compared there."""


@dataclass(slots=True)
class Counted:
    """How many rows of each table belong to a document that was read: the others are unexpected."""

    rows: list[int]


@dataclass(slots=True)
class _Encoded:
    """Documents of one reply as lines; ``unwritable`` have no rows, ``indexes`` are the others."""

    reply: Reply
    lines: list[list[str]]
    indexes: Sequence[int]
    unwritable: list[int] = field(default_factory=list)


class DocumentPass:
    """One pass over the documents of a part at one moment.

    ``repair`` mends keys, given with their ``_id``s, and returns those that it has mended.
    """

    def __init__(
        self,
        subject: Subject,
        comparison: Comparison,
        moment: Moment,
        findings: Findings,
        *,
        repair: Callable[[dict[str, Any]], set[str]],
        advanced: Callable[[int], None],
    ) -> None:
        self._subject = subject
        self._comparison = comparison
        self._moment = moment
        self._findings = findings
        self._repair = repair
        self._advanced = advanced
        self.counted = Counted([0] * len(subject.tables))
        self._sink: ThreadPoolExecutor

    def run(self, replies: Iterator[Reply]) -> None:
        """Compare every document."""
        with (
            ThreadPoolExecutor(1, thread_name_prefix="source") as source,
            ThreadPoolExecutor(1, thread_name_prefix="sink") as sink,
        ):
            self._sink = sink
            waiting: deque[tuple[_Encoded, Future[list[RowDifference]]]] = deque()
            coming = source.submit(next, replies, None)
            while (reply := coming.result()) is not None:
                coming = source.submit(next, replies, None)
                encoded = self._encode(reply, range(len(reply.documents)))
                if len(waiting) == _COMPARED_AHEAD:
                    self._finish(*waiting.popleft())
                waiting.append((encoded, sink.submit(self._comparison.compare, encoded.lines)))
            while waiting:
                self._finish(*waiting.popleft())

    def _encode(self, reply: Reply, indexes: Sequence[int]) -> _Encoded:
        transform = self._subject.transform
        encoded = _Encoded(reply, [[] for _ in self._subject.tables], indexes)
        lines, documents = encoded.lines, reply.documents
        needs_exact, write = reply.needs_exact, transform.write
        for index in indexes:
            try:
                if needs_exact(index):
                    transform.write_exact(reply.raw(index), _ANY_TIME, lines)
                else:
                    write(documents[index], lambda: reply.raw(index), _ANY_TIME, lines)  # noqa: B023 - called at once
            except RecordRejected:
                encoded.unwritable.append(index)
        reply.release()
        return encoded

    def _finish(self, encoded: _Encoded, comparing: Future[list[RowDifference]]) -> None:
        """Take the result of a comparison; what PostgreSQL cannot hold is found by halves, as the writer does it."""
        try:
            rows = comparing.result()
        except RecordRejected:
            rows = self._compare_apart(encoded)
        for number, lines in enumerate(encoded.lines):
            self.counted.rows[number] += len(lines)
        for row in rows:
            self.counted.rows[row.table] += row.is_extra - row.is_missing
        if rows or encoded.unwritable:
            self._look_closer(encoded, rows)
        count = len(encoded.reply.documents)
        self._findings.documents += count
        self._advanced(count)

    def _compare_apart(self, encoded: _Encoded) -> list[RowDifference]:
        """Compare documents of which PostgreSQL cannot hold one; ``encoded`` keeps the others."""
        rows: list[RowDifference] = []
        lines: list[list[str]] = [[] for _ in encoded.lines]
        waiting = [[index for index in encoded.indexes if index not in set(encoded.unwritable)]]
        while waiting:
            indexes = waiting.pop()
            part = self._encode(encoded.reply, indexes)
            try:
                rows += self._sink.submit(self._comparison.compare, part.lines).result()
            except RecordRejected:
                if len(indexes) == 1:
                    encoded.unwritable += indexes
                else:
                    middle = len(indexes) // 2
                    waiting += [indexes[middle:], indexes[:middle]]
                continue
            for number, some in enumerate(part.lines):
                lines[number] += some
        encoded.lines = lines
        return rows

    def _look_closer(self, encoded: _Encoded, rows: list[RowDifference]) -> None:
        letters = self._moment.letters
        differences = differences_of_rows(rows, self._subject.tables, letters)
        ids = self._ids(encoded.reply, {each.key for each in differences} - letters)
        differences += self._unwritable(encoded)
        self._findings.add(differences, self._repair(ids) if ids else set())

    def _unwritable(self, encoded: _Encoded) -> Iterator[Difference]:
        """Documents that have no rows: whatever is there in their place, they are a difference."""
        if not encoded.unwritable:
            return
        keys = [key_of(encoded.reply, index) for index in encoded.unwritable]
        there = self._sink.submit(self._comparison.rows_with, keys).result()
        for number, counts in enumerate(there):
            self.counted.rows[number] += sum(counts.values())
        for key in keys:
            kind = DifferenceKind.DIFFERENT if key in there[0] else DifferenceKind.MISSING
            yield Difference(key, kind, detail_of(["the document cannot be written"], key, self._moment.letters))

    @staticmethod
    def _ids(reply: Reply, keys: set[str]) -> dict[str, Any]:
        """The ``_id``s behind keys."""
        if not keys:
            return {}
        ids = {}
        for index, document in enumerate(reply.documents):
            key = key_of(reply, index)
            if key in keys:
                ids[key] = document["_id"]
        return ids


def key_of(reply: Reply, index: int) -> str:
    """The key of a document of a reply."""
    if reply.needs_exact(index):
        return encode_key(source_id(reply.raw(index)))
    return encode_key(reply.documents[index]["_id"])
