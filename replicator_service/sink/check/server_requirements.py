"""What the server and our user have to be like: one small function a check, over gathered facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.core.findings import Level, Problem, Requirement
from replicator_service.core.mapping.ddl import identifier
from replicator_service.sink.connect.connection import MINIMUM_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from replicator_service.sink.check.server_facts import ServerFacts

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


def _version(facts: ServerFacts) -> Iterator[Problem]:
    if facts.version < MINIMUM_VERSION:
        yield Problem(f"{_told_version(facts)} is too old", "Upgrade to 15 or later.")


def _told_version(facts: ServerFacts) -> str:
    return f"PostgreSQL {facts.version // 10_000}.{facts.version % 10_000}"


def _writable(facts: ServerFacts) -> Iterator[Problem]:
    if facts.is_standby:
        yield Problem(
            "this server is a standby of another one: nothing can be written to it",
            "Address the primary; with several hosts in the address add target_session_attrs=read-write.",
        )
    elif facts.is_read_only:
        yield Problem(
            "transactions are read-only by default for this user or database",
            f"alter role {facts.role} in database {facts.quoted_database} set default_transaction_read_only = off",
        )


def _encoding(facts: ServerFacts) -> Iterator[Problem]:
    if facts.encoding != "UTF8":
        yield Problem(
            f"the database's encoding is {facts.encoding}, which cannot hold every text of MongoDB",
            "Create another one: create database ... encoding 'UTF8' template template0.",
        )


def _create(facts: ServerFacts) -> Iterator[Problem]:
    for schema in facts.closed_schemas:
        yield Problem(
            f"{facts.user} may not create tables in the schema {schema}",
            f"grant create on schema {identifier(schema)} to {facts.role}",
        )
    if facts.missing_schemas and not facts.may_create:
        yield Problem(
            f"{facts.user} may not create the schema {', '.join(facts.missing_schemas)}",
            f"grant create on database {facts.quoted_database} to {facts.role}",
        )


def _usage(facts: ServerFacts) -> Iterator[Problem]:
    for schema in facts.forbidden_schemas:
        yield Problem(
            f"{facts.user} may not use the schema {schema}",
            f"grant usage on schema {identifier(schema)} to {facts.role}",
        )


def _temporary(facts: ServerFacts) -> Iterator[Problem]:
    if not facts.may_use_temporary:
        yield Problem(
            f"{facts.user} may not create temporary tables, in which rows that change are staged",
            f"grant temporary on database {facts.quoted_database} to {facts.role}",
        )


def _event_triggers(facts: ServerFacts) -> Iterator[Problem]:
    for name in facts.event_triggers:
        yield Problem(
            f"the event trigger {name} may refuse or change what is created: a new collection's table, a new column",
            f"alter event trigger {identifier(name)} disable (or let its function pass {facts.user})",
            Level.WARN,
        )


def _connections(facts: ServerFacts) -> Iterator[Problem]:
    place, left = min(facts.free.items(), key=lambda item: item[1])
    if left < _NEEDED_CONNECTIONS:
        yield Problem(
            f"{place} has {max(left, 0)} connections left, and the service uses up to {_NEEDED_CONNECTIONS}",
            "Raise max_connections (or the connection limit), or close what is idle.",
            Level.WARN,
        )


def _timeouts(facts: ServerFacts) -> str:
    if facts.limits:
        return f"{', '.join(facts.limits)}: the service's own sessions have no such limit"
    return "none that end a session"


def _clock(facts: ServerFacts) -> Iterator[Problem]:
    seconds = facts.seconds_ahead
    if abs(seconds) > _CLOCK_SECONDS:
        yield Problem(
            f"the server's clock is {abs(seconds):.0f} s {'ahead' if seconds > 0 else 'behind'}",
            "Synchronise the clocks (NTP).",
            Level.WARN,
        )


REQUIREMENTS: tuple[Requirement[ServerFacts], ...] = (
    Requirement(VERSION, _version, _told_version),
    Requirement(WRITABLE, _writable, lambda _: "a primary"),
    Requirement(ENCODING, _encoding, lambda _: "UTF8"),
    Requirement(USAGE, _usage, lambda facts: f"{facts.user} may use the schemas", is_asked_at_start=True),
    Requirement(CREATE, _create, lambda facts: f"{facts.user} may create what is needed"),
    Requirement(TEMPORARY, _temporary, lambda facts: f"{facts.user} may stage rows", is_asked_at_start=True),
    Requirement(EVENT_TRIGGERS, _event_triggers, lambda _: "none"),
    Requirement(CONNECTIONS, _connections, lambda facts: f"{min(facts.free.values())} left"),
    Requirement(TIMEOUTS, lambda _: (), _timeouts),
    Requirement(CLOCK, _clock, lambda _: "the clocks agree"),
)
NAMES = tuple(each.name for each in REQUIREMENTS)
