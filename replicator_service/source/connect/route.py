"""Which member of the replica set is read from.

With a preference for secondaries, one member is chosen and kept: a cursor lives on one server, and a member that has
delivered the stream up to a time has that time for reads as well. A read at a cluster time waits until the member has
it; one that does not get there in time, or does not answer, is left for a while, and the primary is read instead.
Exactness never depends on the choice: what is asked for is always a cluster time that every member will have.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pymongo
from pymongo import ReadPreference
from pymongo.errors import ExecutionTimeout, PyMongoError
from pymongo.read_preferences import (
    Nearest,
    Primary,
    PrimaryPreferred,
    Secondary,
    SecondaryPreferred,
)

from replicator_service.core.errors import Retryable
from replicator_service.core.position import to_timestamp
from replicator_service.core.read_from import ReadFrom, Reading, ReadingObserver, ignore_reading
from replicator_service.source.connect.address import parse
from replicator_service.source.connect.deadline import ANSWER_SECONDS, Deadline, ask
from replicator_service.source.errors import translated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pymongo import MongoClient
    from pymongo.database import Database

    from replicator_service.source.connect.member import Member

Preference = Primary | PrimaryPreferred | Secondary | SecondaryPreferred | Nearest

_MODES: dict[str, type[PrimaryPreferred | Secondary | SecondaryPreferred | Nearest]] = {
    "primarypreferred": PrimaryPreferred,
    "secondary": Secondary,
    "secondarypreferred": SecondaryPreferred,
    "nearest": Nearest,
}

FALL_BACK_SECONDS = 3.0
"""For so long a member may lack the time that is asked for."""

RETURN_SECONDS = 30.0
"""For so long the primary is read after that."""

_NOBODY = "no secondary that fits the address can be reached"


def preference(uri: str, read_from: ReadFrom) -> Preference | None:
    """What the driver is to choose a member by; None is the primary, without a choice.

    An address that leads to one server alone leaves none either. Raises as :func:`parse` does.
    """
    address = parse(uri)
    if read_from is ReadFrom.PRIMARY or address.is_direct:
        return None
    options = {name.lower(): value for name, value in address.options.items()}
    tags: Sequence[dict[str, str]] | None = options.get("readpreferencetags")
    if read_from is ReadFrom.SECONDARY:
        return Secondary(tags)
    mode = _MODES.get(str(options.get("readpreference")).lower())
    return None if mode is None else mode(tags, int(options.get("maxstalenessseconds", -1)))


def sampling_preference(uri: str, read_from: ReadFrom) -> Preference:
    """The same for a sample, which may show any time: without a word from anybody, a secondary where there is one."""
    options = {name.lower() for name in parse(uri).options}
    is_said = read_from is not ReadFrom.ADDRESS or "readpreference" in options
    wished = preference(uri, read_from)
    if isinstance(wished, Secondary) and read_from is ReadFrom.SECONDARY:
        return SecondaryPreferred(wished.tag_sets)
    return (wished or ReadPreference.PRIMARY) if is_said else ReadPreference.SECONDARY_PREFERRED


class Route:
    """Shared by everything that reads through one client, from any thread."""

    def __init__(
        self,
        client: MongoClient[dict[str, Any]],
        preferred: Preference | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        told: ReadingObserver = ignore_reading,
    ) -> None:
        self._client = client
        self._preferred = preferred
        self._clock = clock
        self._told = told
        self._lock = threading.Lock()
        self._member: Member | None = None
        self._reached = 0
        """The cluster time that the member is known to have."""
        self._left_until: float | None = None
        self._has_fallen_back = False
        self._reading = Reading(spares_primary=preferred is not None)

    @property
    def is_chosen(self) -> bool:
        """Whether there is anything to choose: the primary alone is read otherwise."""
        return self._preferred is not None

    @property
    def preferred(self) -> Preference:
        """For a single command whose result is no evidence of anything, such as an estimate."""
        return ReadPreference.PRIMARY if self._is_left() else self._preferred or ReadPreference.PRIMARY

    @property
    def reading(self) -> Reading:
        """Where reads go at present."""
        return self._reading

    @property
    def current(self) -> Member | None:
        """The member that is read from at present. Chooses none."""
        with self._lock:
            return self._member

    def member(self) -> Member | None:
        """The member to read from; None is the primary. Chooses one where none is chosen."""
        if self._is_left():
            return None
        with self._lock:
            if self._member is None:
                self._choose()
            return self._member

    def reaches(self, member: Member, database: Database[dict[str, Any]], collection: str, cluster_time: int) -> bool:
        """Whether the member has this time, or gets it soon. Otherwise it is left.

        An empty read that waits at the server: of a collection that the user may read.
        """
        with self._lock:
            if member == self._member and self._reached >= cluster_time:
                return True
        command = {
            "find": collection,
            "filter": {"_id": {"$in": []}},
            "limit": 1,
            "singleBatch": True,
            "readConcern": {"level": "majority", "afterClusterTime": to_timestamp(cluster_time)},
            # The server ends the wait, and the connection stays.
            "maxTimeMS": round(FALL_BACK_SECONDS * 1_000),
        }
        try:
            with translated():
                ask(database, command, Deadline(ANSWER_SECONDS), wait_seconds=FALL_BACK_SECONDS, member=member)
        except Retryable as error:
            is_late = isinstance(error.__cause__, ExecutionTimeout)
            self.leave(member, "lags behind the primary" if is_late else error.message)
            return False
        self.reached(member, cluster_time)
        return True

    def reached(self, member: Member, cluster_time: int) -> None:
        """The member has shown that it has this time."""
        with self._lock:
            if member == self._member:
                self._reached = max(self._reached, cluster_time)

    def leave(self, member: Member, reason: str) -> None:
        """Read from the primary for a while."""
        with self._lock:
            # Somebody else may have left it already.
            if member == self._member:
                self._fall_back(f"{_spelled(member)}: {reason}")

    def _is_left(self) -> bool:
        if self._preferred is None:
            return True
        with self._lock:
            return self._left_until is not None and self._clock() < self._left_until

    def _choose(self) -> None:
        """Ask whichever member the driver would choose what it calls itself."""
        is_first, self._left_until = self._left_until is None, None
        known = self._client.topology_description
        # At first the driver has not met all members yet; later on nobody is waited for.
        if not is_first and not known.apply_selector(self._preferred):
            self._fall_back(_NOBODY)
            return
        try:
            with pymongo.timeout(FALL_BACK_SECONDS):
                hello = self._client.admin.command({"hello": 1}, read_preference=self._preferred)
        except PyMongoError:
            self._fall_back(_NOBODY)
            return
        if hello.get("isWritablePrimary"):
            # As the preference wants it: nearest, or for want of a secondary.
            self._left_until = self._clock() + RETURN_SECONDS
            self._tell(replace(self._reading, member=None))
            return
        host, _, port = str(hello["me"]).rpartition(":")
        self._member, self._reached = (host.strip("[]"), int(port)), 0
        self._has_fallen_back = False
        self._tell(replace(self._reading, member=_spelled(self._member)))

    def _fall_back(self, reason: str) -> None:
        """Another try that fails as well is the same fallback still."""
        self._member, self._reached = None, 0
        self._left_until = self._clock() + RETURN_SECONDS
        is_same, self._has_fallen_back = self._has_fallen_back, True
        self._tell(replace(self._reading, member=None, reason=reason), fell_back=not is_same)

    def _tell(self, reading: Reading, *, fell_back: bool = False) -> None:
        self._reading = reading
        self._told(reading, fell_back=fell_back)


def _spelled(member: Member) -> str:
    host, port = member
    return f"{host}:{port}"
