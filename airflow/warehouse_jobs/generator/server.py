"""The connection to MongoDB, and what its driver's errors mean to a person."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pymongo import MongoClient
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    InvalidName,
    InvalidURI,
    OperationFailure,
    PyMongoError,
)

from warehouse_jobs.generator.errors import ParametersError, RefusedError, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymongo.database import Database

_UNAUTHORIZED = 13
_AUTHENTICATION_FAILED = 18


@contextmanager
def connect(uri: str, database: str) -> Iterator[Database[dict[str, Any]]]:
    """The database of a server that answers and accepts the credentials.

    Errors of the driver inside the block leave it as :class:`ParametersError` or :class:`SourceError`.
    """
    with errors_translated():
        # The driver waits for thirty seconds, which is long for a person who mistyped a port.
        patience: dict[str, Any] = (
            {} if "serverselectiontimeoutms" in uri.lower() else {"serverSelectionTimeoutMS": 5_000}
        )
        client: MongoClient[dict[str, Any]] = MongoClient(uri, tz_aware=True, appname="warehouse generate", **patience)
        with client:
            target = client[database]
            # A ping needs no login; this does, and reads nothing.
            target.command("listCollections", nameOnly=True, authorizedCollections=True, filter={"name": ""})
            yield target


@contextmanager
def errors_translated() -> Iterator[None]:
    """Tell the driver's errors apart by class and code; none of the driver's text, which may hold values, is kept."""
    try:
        yield
    except (InvalidURI, ConfigurationError, ValueError) as error:
        raise ParametersError(
            f"the MongoDB address is not valid: {type(error).__name__}",
            hint="Write it as mongodb://USER:PASSWORD@HOST:PORT/?authSource=admin, with special characters escaped.",
        ) from None
    except InvalidName:
        raise ParametersError(
            "the database name is not valid", hint='A name is not empty and has none of the characters /\\. "$.'
        ) from None
    except ConnectionFailure as error:
        raise SourceError(
            f"MongoDB cannot be reached: {type(error).__name__}",
            hint="See that the server runs and has a primary, and that host, port and TLS options are right.",
        ) from None
    except OperationFailure as error:
        raise _refusal(error) from None
    except PyMongoError as error:
        raise SourceError(f"MongoDB failed: {type(error).__name__}", hint="Run the same command again.") from None


def _refusal(error: OperationFailure) -> SourceError:
    codes = {error.code}
    if isinstance(error, BulkWriteError):
        codes = {each.get("code") for each in (error.details or {}).get("writeErrors", ())}
    if _AUTHENTICATION_FAILED in codes:
        return RefusedError(
            "MongoDB refused the credentials",
            hint="Check user, password and authSource (the database that knows the user, often admin).",
        )
    if _UNAUTHORIZED in codes:
        return RefusedError(
            "the user may not write to this database", hint="Grant it the role readWrite on the database."
        )
    told = ", ".join(sorted(str(code) for code in codes))
    return SourceError(f"MongoDB refused a write (code {told})", hint="Look the code up, or run the command again.")
