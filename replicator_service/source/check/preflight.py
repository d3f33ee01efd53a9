"""Read-only checks of MongoDB before a start, of the server and of what the credentials allow.

Everything that the service will do is tried for real where it can be: a change stream is opened and closed, a
document is read at a cluster time.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pymongo.errors import PyMongoError

from replicator_service.core.addresses import SYSTEM_DATABASES
from replicator_service.core.errors import ReplicatorError, ResyncRequired, Retryable
from replicator_service.core.ports import CollectionKind
from replicator_service.core.read_from import ReadFrom
from replicator_service.source.check import abilities, members, privileges, retention
from replicator_service.source.connect.connection import Client, connect, read_only_database, server_info
from replicator_service.source.errors import translated
from replicator_service.source.read.change_stream import ChangeStream
from replicator_service.source.read.server_times import settled_time

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pymongo.database import Database

    from replicator_service.core.findings import Checklist
    from replicator_service.core.position import Position

WAIT_MS = 5_000
_FIRST_ANSWER_MS = 200
"""The server notices that a position is lost when it looks for what comes after it."""

REACHABLE = "mongodb reachable"
TOPOLOGY = "mongodb replica set"
SET_NAME = "mongodb replica set name"
MEMBERS = "mongodb members"
PRIMARY = "mongodb primary"
CREDENTIALS = "mongodb credentials"
VERSION = "mongodb version"
MAJORITY = "mongodb majority"
CLOCK = "mongodb clock"
POSITION = "position in history"
DATABASE = "mongodb database"
COLLECTIONS = "collections without change events"
CAPPED = "capped collections"
COLLATIONS = "collections with a collation"
CONTENT = (DATABASE, COLLECTIONS, CAPPED, COLLATIONS)
SERVER = (VERSION, MAJORITY, abilities.READ_FROM, *privileges.NAMES, *abilities.NAMES, *retention.NAMES, *CONTENT)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the settings say of the source besides where it is."""

    accepts_inexact: bool = False
    read_from: ReadFrom = ReadFrom.ADDRESS


def check_source(uri: str, database_name: str, checks: Checklist, *, now: float, wishes: Wishes | None = None) -> None:
    """Check the server behind ``uri``; ``now`` is the wall clock in seconds, to compare the server's with."""
    hello = members.reach(uri, checks, REACHABLE, wait_ms=2_000)
    if hello is None:
        checks.skip(TOPOLOGY, SET_NAME, MEMBERS, CLOCK, PRIMARY, CREDENTIALS, *SERVER)
        return
    members.check_topology(hello, checks, TOPOLOGY)
    members.check_set_name(uri, hello, checks, SET_NAME)
    members.check_members(uri, hello, checks, MEMBERS)
    _check_clock(hello, checks, now)
    if any(checks.failed(name) for name in (TOPOLOGY, SET_NAME)):
        checks.skip(PRIMARY, CREDENTIALS, *SERVER)
        return
    client = connect(uri, app_name="replicator check", server_selection_ms=WAIT_MS)
    try:
        database = read_only_database(client, database_name)
        if _check_credentials(client, checks):
            _check_server(client, database, checks, uri, wishes or Wishes())
    finally:
        client.close()


def check_position(uri: str, database_name: str, position: Position, checks: Checklist) -> None:
    """Whether the stream can go on from here: open it there, and close it."""
    try:
        client = connect(uri, app_name="replicator check", server_selection_ms=WAIT_MS)
        try:
            database = read_only_database(client, database_name)
            stream = ChangeStream(client, database, server_info(client, database), start=position, batch_size=1)
            stream.poll(wait_ms=_FIRST_ANSWER_MS)
            stream.close()
        finally:
            client.close()
    except ResyncRequired as error:
        checks.fail(
            POSITION,
            error.message,
            "With REPLICATOR_ON_HISTORY_LOST=resync (the default) the service reads everything again by itself; "
            "otherwise: replicator resync --all. Then keep a longer oplog.",
            exit_code=error.exit_code,
        )
    except ReplicatorError as error:
        checks.fail(POSITION, error.message, error.hint, exit_code=error.exit_code)
    else:
        checks.ok(POSITION, "the stream can continue from the checkpoint")


def _check_credentials(client: Client, checks: Checklist) -> bool:
    try:
        with translated():
            status = client.admin.command("connectionStatus")
    except Retryable as error:
        checks.fail(PRIMARY, error.message, error.hint, exit_code=error.exit_code)
        checks.skip(CREDENTIALS, *SERVER)
        return False
    except ReplicatorError as error:
        checks.ok(PRIMARY, "there is a primary")
        checks.fail(CREDENTIALS, error.message, error.hint, exit_code=error.exit_code)
        checks.skip(*SERVER)
        return False
    checks.ok(PRIMARY, "there is a primary")
    users = [f"{each['user']}@{each['db']}" for each in status["authInfo"]["authenticatedUsers"]]
    checks.ok(CREDENTIALS, f"authenticated as {', '.join(users)}" if users else "no user name in the address")
    return True


def _check_server(
    client: Client, database: Database[dict[str, Any]], checks: Checklist, uri: str, wishes: Wishes
) -> None:
    with translated():
        checks.ok(VERSION, f"MongoDB {client.server_info()['version']}")
    _check_majority(client, checks)
    member = abilities.check_member(client, database, uri, wishes.read_from, checks)
    can = privileges.check_privileges(client, database, checks, member)
    if can is None:
        checks.skip(*abilities.NAMES)
    else:
        abilities.check_abilities(can, checks, accepts_inexact=wishes.accepts_inexact)
    retention.check_retention(client, checks)
    _check_collections(database, checks)


def _check_majority(client: Client, checks: Checklist) -> None:
    """What the majority lacks may be taken back: nothing of it is delivered by a stream, or concluded from."""
    try:
        settled_time(client, None)
    except ReplicatorError as error:
        checks.fail(MAJORITY, error.message, error.hint, exit_code=error.exit_code)
    else:
        checks.ok(MAJORITY, "the majority of the replica set has the latest write")


def _check_clock(hello: members.Hello, checks: Checklist, now: float) -> None:
    seconds = hello.local_time - now
    if abs(seconds) > 5:
        checks.warn(
            CLOCK,
            f"the server's clock is {abs(seconds):.0f} s {'ahead' if seconds > 0 else 'behind'}",
            "Synchronise the clocks (NTP): etl_valid_from is MongoDB's time.",
        )
    else:
        checks.ok(CLOCK, "the clocks agree")


def _other_databases(database: Database[dict[str, Any]]) -> str:
    """The names that the user may see."""
    with suppress(PyMongoError):
        return _named(name for name in database.client.list_database_names() if name not in SYSTEM_DATABASES) or "none"
    return "unknown, they cannot be listed"


def _check_collections(database: Database[dict[str, Any]], checks: Checklist) -> None:
    try:
        with translated():
            listed = list(database.list_collections())
    except ReplicatorError:
        checks.skip(*CONTENT)
        return
    listed = [entry for entry in listed if not entry["name"].startswith("system.")]
    kinds = {entry["name"]: entry.get("type", "collection") for entry in listed}
    if kinds:
        checks.ok(DATABASE, f"{database.name}, {len(kinds)} collection{'s'[: len(kinds) != 1]}")
    else:
        checks.warn(
            DATABASE,
            f"there is nothing in the database {database.name} yet",
            f"If that is a surprise, check REPLICATOR_MONGO_DATABASE. There are: {_other_databases(database)}.",
        )
    views = _named(name for name, kind in kinds.items() if kind == CollectionKind.VIEW)
    series = _named(name for name, kind in kinds.items() if kind == CollectionKind.TIME_SERIES)
    if views or series:
        found = [f"time-series: {series}"] if series else []
        found += [f"views: {views}"] if views else []
        checks.warn(
            COLLECTIONS,
            "; ".join(found),
            "MongoDB has no change events for these: they are not replicated. Replicate what a view reads from, and "
            "write measurements into an ordinary collection if they are needed.",
        )
    else:
        checks.ok(COLLECTIONS, f"none, of collections: {len(kinds)}")
    options = {entry["name"]: entry.get("options", {}) for entry in listed}
    capped = _named(name for name, each in options.items() if each.get("capped"))
    checks.ok(
        CAPPED,
        f"{capped}: replicated, but MongoDB tells nobody of the documents that it overwrites there"
        if capped
        else "none",
    )
    collated = _named(
        name
        for name, each in options.items()
        if kinds[name] != CollectionKind.VIEW and each.get("collation", {}).get("locale", "simple") != "simple"
    )
    checks.ok(COLLATIONS, f"{collated}: rows are told apart as MongoDB does, byte by byte" if collated else "none")


def _named(names: Iterable[str]) -> str:
    found = sorted(names)
    shown = ", ".join(found[:10])
    return shown if len(found) <= 10 else f"{shown} and {len(found) - 10} more"
