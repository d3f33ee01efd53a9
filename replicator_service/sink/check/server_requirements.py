"""What the server and our user have to be like: one small function a check, over what the server was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.core.findings import Level, Problem, Requirement
from replicator_service.core.mapping.ddl import identifier
from replicator_service.sink.connect.connection import MINIMUM_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from replicator_service.sink.check.server_info import ServerInfo

VERSION = "postgresql version"
WRITABLE = "postgresql writable"
ENCODING = "postgresql encoding"
CREATE = "privilege create"
USAGE = "privilege usage"
TEMPORARY = "privilege temporary"
EVENT_TRIGGERS = "event triggers"
CONNECTIONS = "free connections"
TIMEOUTS = "timeouts"
CLOCK = "postgresql clock"

_NEEDED_CONNECTIONS = 5
"""The writer, the requests, the monitor's two, and one for commands."""

_CLOCK_SECONDS = 10


def _version(info: ServerInfo) -> Iterator[Problem]:
    if info.version < MINIMUM_VERSION:
        yield Problem(f"{_told_version(info)} is too old", "Upgrade to 15 or later.")


def _told_version(info: ServerInfo) -> str:
    return f"PostgreSQL {info.version // 10_000}.{info.version % 10_000}"


def _writable(info: ServerInfo) -> Iterator[Problem]:
    if info.is_standby:
        yield Problem(
            "this server is a standby of another one: nothing can be written to it",
            "Address the primary; with several hosts in the address add target_session_attrs=read-write.",
        )
    elif info.is_read_only:
        yield Problem(
            "transactions are read-only by default for this user or database",
            f"alter role {info.role} in database {info.quoted_database} set default_transaction_read_only = off",
        )


def _encoding(info: ServerInfo) -> Iterator[Problem]:
    if info.encoding != "UTF8":
        yield Problem(
            f"the database's encoding is {info.encoding}, which cannot hold every text of MongoDB",
            "Create another one: create database ... encoding 'UTF8' template template0.",
        )


def _create(info: ServerInfo) -> Iterator[Problem]:
    for schema in info.closed_schemas:
        yield Problem(
            f"{info.user} may not create tables in the schema {schema}",
            f"grant create on schema {identifier(schema)} to {info.role}",
        )
    if info.missing_schemas and not info.may_create:
        yield Problem(
            f"{info.user} may not create the schema {', '.join(info.missing_schemas)}",
            f"grant create on database {info.quoted_database} to {info.role}",
        )


def _usage(info: ServerInfo) -> Iterator[Problem]:
    for schema in info.forbidden_schemas:
        yield Problem(
            f"{info.user} may not use the schema {schema}",
            f"grant usage on schema {identifier(schema)} to {info.role}",
        )


def _temporary(info: ServerInfo) -> Iterator[Problem]:
    if not info.may_use_temporary:
        yield Problem(
            f"{info.user} may not create temporary tables, in which rows that change are staged",
            f"grant temporary on database {info.quoted_database} to {info.role}",
        )


def _event_triggers(info: ServerInfo) -> Iterator[Problem]:
    for name in info.event_triggers:
        yield Problem(
            f"the event trigger {name} may refuse or change what is created: a new collection's table, a new column",
            f"alter event trigger {identifier(name)} disable (or let its function pass {info.user})",
            Level.WARN,
        )


def _connections(info: ServerInfo) -> Iterator[Problem]:
    place, left = min(info.free.items(), key=lambda item: item[1])
    if left < _NEEDED_CONNECTIONS:
        yield Problem(
            f"{place} has {max(left, 0)} connections left, and the service uses up to {_NEEDED_CONNECTIONS}",
            "Raise max_connections (or the connection limit), or close what is idle.",
            Level.WARN,
        )


def _timeouts(info: ServerInfo) -> str:
    if info.limits:
        return f"{', '.join(info.limits)}: the service's own sessions have no such limit"
    return "none that end a session"


def _clock(info: ServerInfo) -> Iterator[Problem]:
    seconds = info.seconds_ahead
    if abs(seconds) > _CLOCK_SECONDS:
        yield Problem(
            f"the server's clock is {abs(seconds):.0f} s {'ahead' if seconds > 0 else 'behind'}",
            "Synchronise the clocks (NTP).",
            Level.WARN,
        )


REQUIREMENTS: tuple[Requirement[ServerInfo], ...] = (
    Requirement(VERSION, _version, _told_version),
    Requirement(WRITABLE, _writable, lambda _: "a primary"),
    Requirement(ENCODING, _encoding, lambda _: "UTF8"),
    Requirement(USAGE, _usage, lambda info: f"{info.user} may use the schemas", is_asked_at_start=True),
    Requirement(CREATE, _create, lambda info: f"{info.user} may create what is needed"),
    Requirement(TEMPORARY, _temporary, lambda info: f"{info.user} may stage rows", is_asked_at_start=True),
    Requirement(EVENT_TRIGGERS, _event_triggers, lambda _: "none"),
    Requirement(CONNECTIONS, _connections, lambda info: f"{min(info.free.values())} left"),
    Requirement(TIMEOUTS, lambda _: (), _timeouts),
    Requirement(CLOCK, _clock, lambda _: "the clocks agree"),
)
NAMES = tuple(each.name for each in REQUIREMENTS)
