"""The connection to MongoDB: where it is, and what its driver's errors mean to a person."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pymongo import MongoClient
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    InvalidName,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from replicator_service.configuration.environment import value_of
from replicator_service.core.addresses import mongo_uri_flaw
from replicator_service.core.errors import Fatal, Retryable
from replicator_service.source.connect.address import parse
from replicator_service.source.connect.unreachable import why_absent
from warehouse_jobs.generator.errors import ParametersError, RefusedError, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pymongo.database import Database

URI = "WAREHOUSE_MONGO_URI"
DATABASE = "WAREHOUSE_MONGO_DATABASE"
DEFAULT_DATABASE = "origin"

_UNAUTHORIZED = 13
_AUTHENTICATION_FAILED = 18


@dataclass(frozen=True, slots=True)
class MongoSettings:
    """Where the shop's database is. The address holds a password and has no place in a repr.

    ``told_by`` is what a person corrects the address in.
    """

    uri: str = field(repr=False)
    database: str
    told_by: str = URI


def read_settings(environ: Mapping[str, str], uri: str | None = None, database: str | None = None) -> MongoSettings:
    """Take ``uri`` and ``database`` where given, else ``WAREHOUSE_MONGO_URI`` (or ``_FILE``) and ``_DATABASE``."""
    told_by = "--uri" if uri else URI
    uri = uri or value_of(URI, environ)
    if not uri:
        raise ParametersError(
            "no MongoDB address is given",
            hint=f"Give --uri, or set {URI} to mongodb://USER:PASSWORD@HOST:PORT/?authSource=admin.",
        )
    if flaw := mongo_uri_flaw(uri):
        raise ParametersError(f"the address of MongoDB is wrong: it {flaw.cause}", hint=flaw.fix)
    return MongoSettings(uri, database or environ.get(DATABASE) or DEFAULT_DATABASE, told_by)


@contextmanager
def connect(settings: MongoSettings) -> Iterator[Database[dict[str, Any]]]:
    """Yield the database of a server that answers and accepts the credentials.

    Errors of the driver inside the block leave it as :class:`.errors.GeneratorError`, told apart by class and code;
    none of the driver's text, which may hold values, is kept.
    """
    try:
        encryption = parse(settings.uri).encryption
        # The driver waits for thirty seconds, which is long for a person who mistyped a port.
        bound: dict[str, Any] = (
            {} if "serverselectiontimeoutms" in settings.uri.lower() else {"serverSelectionTimeoutMS": 5_000}
        )
        client: MongoClient[dict[str, Any]] = MongoClient(
            settings.uri, tz_aware=True, appname="warehouse generate", **bound
        )
        with client:
            target = client[settings.database]
            try:
                # A ping needs no login; this does, and reads nothing.
                target.command("listCollections", nameOnly=True, authorizedCollections=True, filter={"name": ""})
                yield target
            except ServerSelectionTimeoutError as error:
                raise why_absent(client, encryption) from error
    except (Retryable, Fatal) as error:
        # The same words as the service has for it, and the place where its reader corrects it.
        kind = SourceError if isinstance(error, Retryable) else ParametersError
        raise kind(error.message, hint=error.hint.replace("REPLICATOR_MONGO_URI", settings.told_by)) from None
    except (ConfigurationError, ValueError, OSError):
        raise ParametersError(
            "the MongoDB address cannot be used as a whole",
            hint="Look at options that do not go together, and at the files of certificates and keys that it names.",
        ) from None
    except InvalidName:
        raise ParametersError(
            "the database name is not valid", hint='A name is not empty and has none of the characters /\\. "$.'
        ) from None
    except ConnectionFailure:
        raise SourceError(
            "the connection to MongoDB was lost", hint="Run the same command again: it completes what was begun."
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
    told = ", ".join(sorted(map(str, codes)))
    return SourceError(f"MongoDB refused a write (code {told})", hint="Look the code up, or run the command again.")
