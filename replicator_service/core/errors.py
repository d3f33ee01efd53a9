"""Errors sorted by what to do about them.

The class says who acts: the service itself (:class:`Retryable`), nobody else's documents (:class:`RecordRejected`),
a resync (:class:`ResyncRequired`) or a person (:class:`Fatal`). Every error carries a hint for the operator. Messages
and hints never hold row values or secrets.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence


class Server(StrEnum):
    """One of the two servers, as it is called in metrics and in `/status`."""

    MONGODB = "mongodb"
    POSTGRESQL = "postgresql"

    @property
    def spelled(self) -> str:
        """Its name as people write it."""
        return "MongoDB" if self is Server.MONGODB else "PostgreSQL"


class ReplicatorError(Exception):
    """Any error of the service: a message that names the cause and a hint that names the fix."""

    exit_code = 5

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Retryable(ReplicatorError):
    """A server is away or busy: wait with backoff and continue. ``server`` is the one that is waited for, if known."""

    exit_code = 3
    server: ClassVar[Server | None] = None


class SourceUnavailable(Retryable):
    """MongoDB is away, busy or changing its primary."""

    server = Server.MONGODB


class SinkUnavailable(Retryable):
    """PostgreSQL is away, busy or short of something."""

    server = Server.POSTGRESQL


class DiskFull(SinkUnavailable):
    """PostgreSQL has no room for what is written: only a person makes some."""


class NoAnswer(SourceUnavailable):
    """A server did not answer in time on one connection; it may do so when it is asked again on another.

    ``is_last``: it had as much time as it can get.
    """

    def __init__(self, message: str, *, hint: str = "", is_last: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.is_last = is_last


class RecordRejected(ReplicatorError):
    """One document cannot be written; the others can. It becomes a dead letter."""

    exit_code = 1


class ResyncRequired(ReplicatorError):
    """The position is no longer in MongoDB's history: only a resync makes both sides equal again."""

    exit_code = 4
    command: ClassVar[str] = "replicator resync --all"
    """What a person runs, where the service waits for one."""


class Fatal(ReplicatorError):
    """A person has to act: what a server refuses for good, its version or data, and every fault of the program."""

    exit_code = 5


class ConfigurationError(Fatal):
    """A setting, the mapping or the command line is wrong. ``parts`` are several of these, told at once."""

    exit_code = 2

    def __init__(self, message: str, *, hint: str = "", parts: Sequence[ConfigurationError] = ()) -> None:
        super().__init__(message, hint=hint)
        self.parts = tuple(parts) or (self,)

    @classmethod
    def together(cls, parts: Sequence[ConfigurationError]) -> ConfigurationError:
        """One error of several, with the causes and the fixes of all; a single one stays what it is."""
        if len(parts) == 1:
            return parts[0]
        hints = dict.fromkeys(part.hint for part in parts if part.hint)
        return cls("; ".join(part.message for part in parts), hint=" ".join(hints), parts=parts)


class SnapshotUnavailable(ReplicatorError):
    """The server cannot read at this cluster time any more (or not yet, or never for this collection)."""

    exit_code = 3


class TableChanged(SinkUnavailable):
    """A replicated table or column is not there any more: the next start makes it again and reads the collection."""


class LeaseLost(SinkUnavailable):
    """Another instance leads now: step down and stand by."""


class StopRequested(ReplicatorError):
    """A signal or another thread asked to stop."""

    exit_code = 0
