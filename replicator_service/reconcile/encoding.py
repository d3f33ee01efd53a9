"""Documents into expected rows, in this process and, for large collections, in others beside it.

Decoding and transforming is what a reconciliation spends most of its time on, and Python does it on one core. Helper
processes get replies of MongoDB as bytes and give lines of COPY text back; they have no connection to anything.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import threading
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from replicator_service.core.compiled import native
from replicator_service.core.errors import RecordRejected
from replicator_service.core.lines import Lines
from replicator_service.core.transform import Transform, compile_transform
from replicator_service.core.transform.printed import Printing, printing_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from replicator_service.core.mapping.model import CollectionMapping
    from replicator_service.core.replies import Reply

_ANY_TIME = "\\N"
"""``etl_valid_from`` is not compared."""

_MOST_HELPERS = 4
_AHEAD = 2
"""So many replies wait for each helper; what comes beyond is done here."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Some documents of a reply as rows of each table, to be written by PostgreSQL and compared there.

    ``ordinals`` are theirs, ``unwritable`` those of the ones that have no rows.
    """

    ordinals: Sequence[int]
    tables: tuple[Lines, ...]
    unwritable: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class EncodedReply:
    """All documents of a reply: those whose rows are known as PostgreSQL prints them, and the others.

    ``ordinals`` are those of ``keys``, ``printed`` has their rows by table.
    """

    ordinals: Sequence[int]
    keys: list[str]
    printed: tuple[Lines, ...]
    others: Encoded

    @property
    def documents(self) -> int:
        """How many there are."""
        return len(self.ordinals) + len(self.others.ordinals)


def encode(transform: Transform, reply: Reply, ordinals: Sequence[int]) -> Encoded:
    """Transform these documents of a reply."""
    lines = [Lines() for _ in transform.tables]
    unwritable: list[int] = []
    scan = reply.scan if transform.is_compiled else None
    position = 0
    while position < len(ordinals):
        written = 0 if scan is None else transform.write_ordinals(ordinals, position, scan, _ANY_TIME, lines)
        if not written:
            written = 1
            ordinal = ordinals[position]
            try:
                _write_one(transform, reply, ordinal, lines)
            except RecordRejected:
                unwritable.append(ordinal)
        position += written
    reply.release()
    return Encoded(ordinals, tuple(lines), tuple(unwritable))


def _write_one(transform: Transform, reply: Reply, ordinal: int, lines: Sequence[Lines]) -> None:
    made: list[list[str]] = [[] for _ in lines]
    # What decoding loses is known once it is done.
    document = reply.document(ordinal)
    if reply.needs_exact(ordinal):
        transform.write_exact(reply.raw(ordinal), _ANY_TIME, made)
    else:
        transform.write(document, partial(reply.raw, ordinal), _ANY_TIME, made)
    for whole, some in zip(lines, made, strict=True):
        whole.add_lines(some)


class Encoding:
    """Encodes replies here."""

    def submit(self, mapping: CollectionMapping, reply: Reply, *, is_printed: bool) -> Future[EncodedReply]:
        """Encode all documents of a reply, perhaps while the caller goes on; ``is_printed``: as far as possible."""
        done: Future[EncodedReply] = Future()
        done.set_result(_encode_whole(mapping, reply, is_printed=is_printed))
        return done


class HelpedEncoding(Encoding):
    """Encodes replies in helper processes, and here what they have no time for."""

    def __init__(self, pool: ProcessPoolExecutor, helpers: int) -> None:
        self._pool = pool
        self._free = threading.Semaphore(helpers * _AHEAD)

    def submit(self, mapping: CollectionMapping, reply: Reply, *, is_printed: bool) -> Future[EncodedReply]:
        """Encode all documents of a reply."""
        if not self._free.acquire(blocking=False):
            return Encoding.submit(self, mapping, reply, is_printed=is_printed)
        coming = self._pool.submit(_encode_whole, mapping, reply, is_printed=is_printed)
        coming.add_done_callback(lambda _: self._free.release())
        return coming


@contextmanager
def encoding_with(helpers: int | None) -> Iterator[Encoding]:
    """An encoding for a run: with so many helpers, or as many as there are cores to spare and Python has a use for.

    Helpers are forked, which is safe only before there are other threads: without an explicit number there are none
    then. Call it before connections are opened.
    """
    if helpers is None:
        is_slow = native() is None and threading.active_count() == 1
        helpers = min(len(os.sched_getaffinity(0)) - 1, _MOST_HELPERS) if is_slow else 0
    if helpers < 1 or "fork" not in multiprocessing.get_all_start_methods():
        yield Encoding()
        return
    with ProcessPoolExecutor(helpers, mp_context=multiprocessing.get_context("fork"), initializer=_be_a_helper) as pool:
        pool.submit(os.getpid).result()
        yield HelpedEncoding(pool, helpers)


def _be_a_helper() -> None:
    """A helper only decodes: there are no cycles to collect."""
    gc.freeze()
    gc.disable()


def _encode_whole(mapping: CollectionMapping, reply: Reply, *, is_printed: bool) -> EncodedReply:
    everything = range(reply.count)
    printing = _printing_of(mapping) if is_printed else None
    scan = None if printing is None else reply.scan
    if printing is None or scan is None:
        return EncodedReply((), [], (), encode(_transform_of(mapping), reply, everything))
    keys, printed, left = printing.lines_of(scan)
    ordinals = sorted(set(everything).difference(left)) if left else everything
    return EncodedReply(ordinals, keys, printed, encode(_transform_of(mapping), reply, left))


@lru_cache(maxsize=32)
def _printing_of(mapping: CollectionMapping) -> Printing | None:
    return printing_of(mapping)


@lru_cache(maxsize=32)
def _transform_of(mapping: CollectionMapping) -> Transform:
    return compile_transform(mapping)
