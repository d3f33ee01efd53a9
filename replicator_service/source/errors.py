"""MongoDB's errors, translated once: by class, code and label, never by the text of a message.

Codes are those of the server's error_codes.yml.
"""

from __future__ import annotations

import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pymongo import errors

from replicator_service.core.errors import (
    ConfigurationError,
    Fatal,
    ReplicatorError,
    ResyncRequired,
    SnapshotUnavailable,
    SourceUnavailable,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

HISTORY_LOST = frozenset({286, 280, 260, 464})
"""ChangeStreamHistoryLost, ChangeStreamFatalError, InvalidResumeToken, and its later kin."""

SNAPSHOT_UNAVAILABLE = frozenset({239, 246, 361, 166, 167, 168})
"""SnapshotTooOld, SnapshotUnavailable (the catalog changed since; capped collections) and CollectionUUIDMismatch (the
name leads to another collection). The others mean that a command does not work on views: the collection was dropped,
and a view has its name."""

_STANDALONE = (
    "MongoDB runs as a standalone server: it has no change streams",
    "Start it with --replSet rs0 and run rs.initiate() once; a set of one member is enough.",
)
_UNKNOWN_USER = (
    "MongoDB knows no user of the name that our certificate or token has",
    (
        "Its name is: openssl x509 -in FILE -noout -subject -nameopt RFC2253. Create it: db.getSiblingDB('$external')."
        "runCommand({createUser: NAME, roles: [{role: 'read', db: DATABASE}]})"
    ),
)
_MECHANISM = (
    "MongoDB does not offer the authMechanism that the address names",
    (
        "Name another one in REPLICATOR_MONGO_URI, or let the servers offer it: authenticationMechanisms in their "
        "configuration (Atlas: the project's identity providers)."
    ),
)
_SET_UP = {
    11: _UNKNOWN_USER,
    18: (
        "MongoDB refuses the user name or password",
        "Check the credentials and authSource in REPLICATOR_MONGO_URI.",
    ),
    76: _STANDALONE,
    334: _MECHANISM,
    40573: _STANDALONE,
}
"""What a person has to set right: cause and way out by code."""

_PRIVILEGES = frozenset({13, 8000})
_TRANSIENT = frozenset(
    {6, 7, 24, 43, 63, 64, 89, 91, 133, 134, 150, 189, 202, 211, 234, 237, 262, 317, 358, 384, 9001, 10058, 10107}
    | {11600, 11601, 11602, 13388, 13435, 13436, 50, 112, 149, 136, 175, 290}
)
_TRANSIENT_LABELS = ("ResumableChangeStreamError", "RetryableWriteError", "TransientTransactionError")
_LOGS_IN = "pymongo.synchronous.auth"
"""The driver's modules that get a token or a key from the machine, and show it to a server."""


class NoIdentity(SourceUnavailable):
    """There is nothing to show to MongoDB as our identity, now: the servers themselves may well be there."""


@contextmanager
def translated(command: str = "a command") -> Iterator[None]:
    """Raise what MongoDB's driver raises as one of our errors; ``command`` is the name of what was asked."""
    try:
        yield
    except errors.PyMongoError as error:
        raise translate(error, command) from error
    except Exception as error:
        # Whoever vouches for us may be a file or another server, whose errors the driver passes on as they are.
        if not _is_logging_in(error):
            raise
        raise _nobody_vouches(type(error).__name__) from error


def _is_logging_in(error: Exception) -> bool:
    frames = traceback.walk_tb(error.__traceback__)
    return any(str(frame.f_globals.get("__name__")).startswith(_LOGS_IN) for frame, _ in frames)


def _nobody_vouches(why: str) -> NoIdentity:
    """An identity service that is away for a moment looks like one that was never there: it is asked again."""
    return NoIdentity(
        f"there is nothing to show to MongoDB as our identity: the driver cannot get it ({why})",
        hint="MONGODB-AWS takes it from the variables AWS_..., or from the role of the machine or the Pod; "
        "MONGODB-OIDC from the place that ENVIRONMENT in the address names. Check that this machine has it.",
    )


def translate(error: errors.PyMongoError, command: str = "a command") -> ReplicatorError:
    """The error of ours that says what to do about one of the driver."""
    match error:
        case errors.OperationFailure():
            return _translate_reply(error, command)
        case errors.ConfigurationError():
            # Addresses are parsed before: this is about what the driver has met.
            return ConfigurationError(
                "MongoDB's driver cannot work with this server, or not as the address asks",
                hint="MongoDB 5.0 or later is needed. Then look at the options in REPLICATOR_MONGO_URI.",
            )
        case errors.ServerSelectionTimeoutError():
            return SourceUnavailable(
                "no MongoDB server can be reached, or none of them is primary",
                hint="Check that the servers run, the host names in REPLICATOR_MONGO_URI resolve from here, and that "
                "the names in the replica set's configuration do as well.",
            )
        case errors.ConnectionFailure() | errors.WaitQueueTimeoutError():
            return SourceUnavailable(
                "the connection to MongoDB was lost", hint="Nothing to do: it is opened again by itself."
            )
        case _:
            return Fatal(
                f"MongoDB's driver failed in an unknown way ({type(error).__name__})",
                hint="Please report this with the log around it.",
            )


def code_told(error: ReplicatorError) -> str:
    """What the server's refusal behind one of our errors is called: its code and name, nothing of its text."""
    cause = error.__cause__
    if not isinstance(cause, errors.OperationFailure):
        return error.message
    return f"code {cause.code or 0}: {_code_name(cause)}"


def _translate_reply(error: errors.OperationFailure, command: str) -> ReplicatorError:
    code = error.code or 0
    if error.code is None and error.details is None and _is_logging_in(error):
        return _nobody_vouches(type(error).__name__)
    if code in HISTORY_LOST:
        return ResyncRequired(
            f"the position is no longer in MongoDB's history (code {code})",
            hint="A resync makes both sides equal again. Keep a longer oplog (oplogMinRetentionHours of 24 or more).",
        )
    if code in SNAPSHOT_UNAVAILABLE:
        return SnapshotUnavailable(
            f"MongoDB cannot read at this cluster time (code {code})",
            hint="Nothing to do: what cannot be read as it was is read as it is, and exact once the stream is there.",
        )
    if code in _SET_UP:
        cause, hint = _SET_UP[code]
        return ConfigurationError(cause, hint=hint)
    if code in _PRIVILEGES:
        return ConfigurationError(
            f"the MongoDB user lacks a privilege for {command} ({_code_name(error)})",
            hint="Grant the role 'read' on the replicated database (it includes changeStream and find), "
            "for instance: db.grantRolesToUser(USER, [{role: 'read', db: DATABASE}]). An address without a user has "
            "no privileges.",
        )
    if code in _TRANSIENT or any(error.has_error_label(label) for label in _TRANSIENT_LABELS):
        return SourceUnavailable(
            f"MongoDB is busy or changing its primary (code {code})",
            hint="Nothing to do: the service continues by itself.",
        )
    return Fatal(
        f"MongoDB refused {command} (code {code}: {_code_name(error)})",
        hint="Look this code up in MongoDB's error codes; after the cause is removed, start the service again.",
    )


def _code_name(error: errors.OperationFailure) -> str:
    details = error.details or {}
    return str(details.get("codeName", "unknown"))
