"""Errors sorted by what to do about them.

The class says who acts: the service itself (:class:`Retryable`), nobody else's documents (:class:`RecordRejected`),
a resync (:class:`ResyncRequired`) or a person (:class:`Fatal`). Every error carries a hint for the operator. Messages
and hints never hold row values or secrets.
"""

from __future__ import annotations


class ReplicatorError(Exception):
    """Any error of the service: a message that names the cause and a hint that names the fix."""

    exit_code = 3

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Retryable(ReplicatorError):
    """A server is away or busy: wait with backoff and go on."""


class NoAnswer(Retryable):
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


class Fatal(ReplicatorError):
    """A person has to act: configuration, privileges, versions, and everything unknown."""

    exit_code = 3


class ConfigurationError(Fatal):
    """A setting, the mapping or the command line is wrong."""

    exit_code = 2


class SnapshotUnavailable(ReplicatorError):
    """The server cannot read at this cluster time any more (or not yet, or never for this collection)."""


class TableChanged(Retryable):
    """A replicated table or column is not there any more: the next start makes it again and reads the collection."""


class LeaseLost(Retryable):
    """Another instance leads now: step down and stand by."""


class StopRequested(ReplicatorError):
    """A signal or another thread asked to stop."""

    exit_code = 0
