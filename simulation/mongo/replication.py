"""A replica set: one primary's history, what the majority has of it, and what a client may read.

Modelled on 6.0 unless told otherwise (tests/contract holds it to the real server):

* a name is looked up in the catalog of now: what was dropped or renamed since T reads as empty at T, without an error;
* a collection cannot be read before the latest change of the catalog that concerns it, a capped one at no time at all;
* only what the majority has reaches a change stream; an election takes back what it does not have;
* a new primary learns only after a while what the majority has.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from replicator_service.core.errors import Retryable, SnapshotUnavailable
from replicator_service.core.ports import CollectionKind, HistoryMark
from simulation.mongo.history import Catalog, Collection, Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from simulation.mongo.history import Event
    from simulation.scheduler import Scheduler, Task

EPOCH = 1_700_000_000
"""The wall clock, in seconds since 1970, when a history begins."""

_ANSWER_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a server version and its settings bring.

    ``window_seconds`` is how far back reads at a time reach; ``remembers_catalog``: also across changes of the catalog
    (7.0 and later); ``expanded_events``: there are ``create`` events (6.0 and later);
    ``groups_inserts``: ordinary inserts may share a cluster time (6.1 and later); ``repeats_tokens``: now and then a
    stream answers with what it has given before (9.0.0 and 9.0.1, sharded); ``takes_uuid``: a read can name its
    collection by its UUID (6.0 and later).
    """

    window_seconds: int = 300
    remembers_catalog: bool = False
    expanded_events: bool = True
    groups_inserts: bool = False
    repeats_tokens: bool = False
    takes_uuid: bool = True


class ReplicatedLog:
    """The history of one deployment: it grows, reaches the majority, is taken back or replaced."""

    def __init__(self, scheduler: Scheduler, database: str, abilities: Abilities) -> None:
        self.scheduler = scheduler
        self.database = database
        self.abilities = abilities
        self.is_up = True
        self.generation = 0
        """Cursors of an earlier generation are unknown."""
        self.term = 1
        self.oldest = 0
        """The first entry that the oplog still has."""
        self.log: list[Entry] = []
        self._times: list[int] = []
        self._new: list[Entry] = []
        self._common = 0
        """How many entries the majority has."""
        self.known = 0
        """How many the primary knows it to have."""
        self.stalled_until = 0.0
        """Until when the majority gets nothing new."""
        self._clock_error = 0
        """In milliseconds; each server that takes the place of another has its own."""
        self._latest_time = 0
        self.highest_time = 0
        """The highest cluster time of any entry, also of servers that were here before."""
        self._uuids = 0
        self._waiting: list[Task] = []
        self.on_entry: Callable[[Entry], None] = lambda _: None
        """Called with every new entry."""
        self.add({}, told="initiating set")
        self.replicate()

    @property
    def catalog(self) -> Catalog:
        """What the primary has now."""
        return self.log[-1].catalog

    @property
    def known_time(self) -> int:
        """The cluster time up to which the primary knows the majority to be."""
        return self._times[self.known - 1]

    @property
    def latest_time(self) -> int:
        """The cluster time of the latest entry."""
        return self._times[-1]

    def new_entries(self) -> list[Entry]:
        """The entries that were written since the last call, also those that were taken back."""
        new, self._new = self._new, []
        return new

    def require_up(self) -> None:
        """Raise :class:`Retryable` while no primary can be reached."""
        if not self.is_up:
            raise Retryable("no MongoDB server can be reached")

    def catalog_at(self, time: int) -> Catalog:
        """What there was at a cluster time."""
        index = bisect_right(self._times, time)
        return self.log[index - 1].catalog if index else {}

    def catalogs_between(self, first: int, last: int) -> list[Catalog]:
        """What there was at a cluster time, and after every entry up to another."""
        begin = max(bisect_right(self._times, first) - 1, 0)
        return [entry.catalog for entry in self.log[begin : bisect_right(self._times, last)]]

    def mark(self, time: int) -> HistoryMark | None:
        """The oplog's entry at exactly this time."""
        index = bisect_left(self._times, time)
        if index >= len(self._times) or self._times[index] != time or index < self.oldest:
            return None
        entry = self.log[index]
        return HistoryMark(entry.time, entry.term, entry.wall)

    def collection_at(self, name: str, time: int, uuid: bytes | None) -> Collection | None:
        """A collection as a read at this time finds it, waiting until the majority is there.

        Raises :class:`SnapshotUnavailable`.
        """
        self.wait_until_known(time)
        self.require_in_window(time)
        if self.abilities.remembers_catalog:
            found = self.catalog_at(time).get(name)
            if uuid is not None and (found is None or found.uuid != uuid):
                raise SnapshotUnavailable("the collection is another one at this time")
            current = self.catalog.get(name)
        else:
            found = current = self.catalog.get(name)
            if uuid is not None and (found is None or found.uuid != uuid):
                raise SnapshotUnavailable("the collection is another one now")
            if found is None:
                return None
            if found.changed_at > time:
                raise SnapshotUnavailable("the catalog has changed since this time")
            found = self.catalog_at(time).get(name)
        if current is not None and current.kind is CollectionKind.CAPPED:
            raise SnapshotUnavailable("a capped collection has no past")
        return found

    def require_in_window(self, time: int) -> None:
        """Raise :class:`SnapshotUnavailable` when the server does not remember that far back."""
        now = EPOCH + int(self.scheduler.now)
        if self.abilities.window_seconds == 0 or now - (time >> 32) > self.abilities.window_seconds:
            raise SnapshotUnavailable("this time is too old")

    def wait_until_known(self, time: int) -> None:
        """Wait until the primary knows that the majority has this time."""
        end = self.scheduler.now + _ANSWER_SECONDS
        generation = self.generation
        while self.known_time < time:
            if self.scheduler.now >= end:
                raise Retryable("MongoDB has not got to this time")
            self.wait(end - self.scheduler.now)
            self.require_up()
            if generation != self.generation:
                raise Retryable("another primary was elected, which may be past this time without what was there")

    def wait(self, seconds: float) -> None:
        """Wait until something changes."""
        self._waiting.append(self.scheduler.current)
        self.scheduler.wait(seconds)

    def events_after(self, token: str, time: int, limit: int) -> tuple[list[Event], bool]:
        """What a change stream that is at a token sees next, and whether that is all for now."""
        index = max(bisect_left(self._times, time), self.oldest)
        found: list[Event] = []
        for entry in self.log[index : self.known]:
            for event in entry.events:
                if event.token > token:
                    if len(found) >= limit:
                        return found, False
                    found.append(event)
        return found, True

    def has_event(self, token: str, time: int) -> bool:
        """Whether the oplog has an event with exactly this token."""
        index = bisect_left(self._times, time)
        if index >= len(self._times) or self._times[index] != time:
            return False
        return any(event.token == token for event in self.log[index].events)

    @property
    def oldest_time(self) -> int:
        """The cluster time of the oplog's first entry."""
        return self._times[self.oldest]

    def tick(self) -> None:
        """Write a no-op, as the server does every ten seconds when nothing happens."""
        self.add(self.catalog, told="no-op")

    def replicate(self) -> None:
        """The majority has everything now, and the primary knows it."""
        self._common = self.known = len(self.log)
        self._changed()

    def fail_over(self, known: int) -> None:
        """Elect a primary that has what the majority has, and knows of ``known`` entries that the majority has them."""
        del self.log[self._common :], self._times[self._common :]
        self.generation += 1
        self.term += 1
        self.known = max(1, min(known, self._common))
        self.oldest = min(self.oldest, len(self.log))
        self.add(self.catalog, told="new primary")
        self._changed()

    def go_back(self, entries: int) -> None:
        """Become what a backup of the first so many entries is; this server goes on differently from there."""
        count = max(1, min(entries, len(self.log)))
        del self.log[count:], self._times[count:]
        self._common = self.known = count
        self.oldest = min(self.oldest, count - 1)
        # A backup takes more than a second to restore.
        self._latest_time = max(self._latest_time >> 32, EPOCH + int(self.scheduler.now)) + 1 << 32
        self.generation += 1
        self.term += 1
        self._clock_error += 7
        self.add(self.catalog, told="restored from a backup")
        self.replicate()

    def begin_anew(self, catalog: Catalog) -> None:
        """Become another server, about as old as this one: another history, with other identities and clocks."""
        self.log.clear()
        self._times.clear()
        self.oldest = 0
        self.generation += 1
        self.term = 1
        self._clock_error += 7
        self.add({}, time=EPOCH << 32 | 1, told="another server")
        time = self.next_time()
        renewed = {name: replace(each, uuid=self.new_uuid(), changed_at=time) for name, each in catalog.items()}
        self.add(renewed, time=time, told="its documents")
        self.replicate()

    def truncate(self) -> None:
        """Forget all entries of the oplog but the last."""
        self.oldest = len(self.log) - 1

    def add(self, catalog: Catalog, events: Iterable[Event] = (), *, told: str, time: int | None = None) -> None:
        """Write an entry of the oplog: what is there from then on, and the events that tell of it."""
        time = self.next_time() if time is None else time
        wall = int((EPOCH + self.scheduler.now) * 1_000) + self._clock_error
        entry = Entry(time, self.term, wall, catalog, tuple(events), told)
        self.log.append(entry)
        self._new.append(entry)
        self.on_entry(entry)
        self._times.append(time)
        self._latest_time = time
        self.highest_time = max(self.highest_time, time)

    def next_time(self) -> int:
        """The cluster time of the next entry."""
        now = (EPOCH + int(self.scheduler.now)) << 32
        return now | 1 if now > self._latest_time else self._latest_time + 1

    def new_uuid(self) -> bytes:
        """An identity that no collection has yet."""
        self._uuids += 1
        return self._uuids.to_bytes(16, "big")

    def _changed(self) -> None:
        waiting, self._waiting = self._waiting, []
        for task in waiting:
            self.scheduler.wake(task)
