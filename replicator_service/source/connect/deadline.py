"""How long MongoDB may take for an answer, and asking with that limit.

A line can go silent by itself: a firewall forgets it while other connections to the same server live on, so neither
the driver's monitor nor the operating system notices. Every question therefore has a deadline of its own. A server may
also be slow rightly (a long scan of the oplog, a large reply over a thin line): each deadline that passes makes the
next one twice as long, and an answer sets it by what that answer took.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import pymongo
from pymongo import errors

from replicator_service.core.errors import NoAnswer
from replicator_service.source.connect.member import on_member
from replicator_service.source.errors import translated

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bson.codec_options import CodecOptions
    from pymongo.client_session import ClientSession
    from pymongo.database import Database

    from replicator_service.source.connect.member import Member

LONGEST_SECONDS = 600.0
"""A server that has not answered for so long is not slow."""

ANSWER_SECONDS = 3.0
"""For questions that cost nothing: a server that does not answer them in time is away, whatever its connections say."""


_READS = frozenset({"find", "aggregate", "count"})
_NO_LIMIT_MS = 2**31 - 1
"""The largest that a server takes."""


class Deadline:
    """The limit for one kind of question, at least ``floor`` seconds. Belongs to one thread."""

    def __init__(self, floor: float) -> None:
        self._floor = floor
        self.seconds = floor

    def passed(self) -> bool:
        """Nothing came in time; returns whether the next limit is a longer one."""
        before = self.seconds
        self.seconds = min(before * 2, LONGEST_SECONDS)
        return self.seconds > before

    def answered(self, took: float) -> None:
        """An answer came after so many seconds: the next one may take twice that."""
        self.seconds = min(max(self._floor, took * 2), LONGEST_SECONDS)


class _CommandWithMaxTime(OrderedDict[str, Any]):
    """A command whose own ``maxTimeMS`` counts: with a deadline, the driver writes what is left of that into it.

    For a ``getMore`` that waits for events it says how long to wait. A read says that it has no limit: where the
    cluster has one of its own (``defaultMaxTimeMS``, MongoDB 8.0 and later), a long read would never come to an end.
    The driver copies every kind of dictionary but its own and this one.
    """

    def __init__(self, command: Mapping[str, Any]) -> None:
        super().__init__()
        if next(iter(command)) in _READS:
            super().__setitem__(next(iter(command)), next(iter(command.values())))
            super().__setitem__("maxTimeMS", _NO_LIMIT_MS)
        for key, value in command.items():
            super().__setitem__(key, value)

    def __setitem__(self, key: str, value: object) -> None:
        if key != "maxTimeMS":
            super().__setitem__(key, value)


def ask(
    database: Database[dict[str, Any]],
    command: Mapping[str, Any],
    deadline: Deadline,
    *,
    wait_seconds: float = 0.0,
    session: ClientSession | None = None,
    codec_options: CodecOptions[Any] | None = None,
    member: Member | None = None,
) -> Any:  # noqa: ANN401 - the codec options decide what it is
    """Run one command within the deadline, not counting ``wait_seconds`` for which the server was asked to wait.

    It goes to this ``member``, or to the primary. Raises :class:`NoAnswer` when the time is over (the connection is
    closed then) and the driver's other errors as they are.
    """
    began = time.monotonic()
    try:
        with pymongo.timeout(wait_seconds + deadline.seconds), on_member(member) as preferred:
            reply = database.command(
                _CommandWithMaxTime(command), read_preference=preferred, session=session, codec_options=codec_options
            )
    except (errors.NetworkTimeout, errors.ExecutionTimeout) as error:
        seconds = wait_seconds + deadline.seconds
        is_longer = deadline.passed()
        raise NoAnswer(
            f"MongoDB has not answered {next(iter(command))} for {seconds:.0f} s",
            hint="Nothing to do if it happens once: the service asks again on another connection. Otherwise look for a "
            "firewall that forgets connections, and at the server's load.",
            is_last=not is_longer,
        ) from error
    deadline.answered(max(0.0, time.monotonic() - began - wait_seconds))
    return reply


def require_reachable(database: Database[dict[str, Any]], member: Member | None = None) -> None:
    """Make sure that the server answers on another connection.

    Raises :class:`Retryable` when it does not.
    """
    with translated(), pymongo.timeout(ANSWER_SECONDS), on_member(member) as preferred:
        database.command({"ping": 1}, read_preference=preferred)
