"""The servers behind an address, seen before a driver has chosen one: who answers, and what they are."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from replicator_service.core.errors import ReplicatorError, Retryable, SourceUnavailable
from replicator_service.source.connect.address import Address, parse
from replicator_service.source.connect.connection import connect, disconnect, replica_set_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replicator_service.core.findings import Checklist

_CONNECT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Hello:
    """What the first server that answered said. ``local_time`` is its clock in seconds since 1970."""

    set_name: str | None
    hosts: tuple[str, ...]
    local_time: float
    is_mongos: bool
    is_uninitiated: bool


def reach(uri: str, checks: Checklist, name: str, *, wait_ms: int) -> Hello | None:
    """Ask every server of the address what it is, without credentials; the first answer, or None."""
    try:
        address = parse(uri)
        answers = [(node, _hello(node, address, wait_ms)) for node in address.nodes]
        found = [answer for _, answer in answers if answer is not None]
        if not found:
            _raise_why(uri, wait_ms)
    except ReplicatorError as error:
        checks.fail(name, error.message, error.hint, exit_code=error.exit_code)
        return None
    silent = ", ".join(_spelled(node) for node, answer in answers if answer is None)
    if silent:
        checks.warn(name, f"no answer from {silent}", "Start these members, or remove them from the address.")
    else:
        checks.ok(name, f"{len(found)} of {len(answers)} servers of the address answer")
    return next((answer for answer in found if answer.set_name), found[0])


def _raise_why(uri: str, wait_ms: int) -> NoReturn:
    """Meet the same trouble as the service would, which can say what it is."""
    client = connect(uri, server_selection_ms=wait_ms)
    try:
        replica_set_version(client)
    finally:
        disconnect(client)
    raise SourceUnavailable("MongoDB answers only now", hint="Run the check again.")


def check_topology(hello: Hello, checks: Checklist, name: str) -> None:
    """A replica set, rather than a standalone server or a sharded cluster."""
    if hello.is_mongos:
        checks.fail(
            name,
            "the address leads to a mongos: sharded clusters are not supported",
            "Replicate from a replica set.",
        )
    elif hello.is_uninitiated:
        checks.fail(name, "the replica set has not been initiated", "Run rs.initiate() once, on one of its members.")
    elif hello.set_name is None:
        checks.fail(
            name,
            "MongoDB runs as a standalone server: it has no change streams",
            "Start it with --replSet rs0 and run rs.initiate() once; a set of one member is enough.",
        )
    else:
        checks.ok(name, f"{hello.set_name}, {len(hello.hosts)} member{'s'[: len(hello.hosts) != 1]}")


def check_set_name(uri: str, hello: Hello, checks: Checklist, name: str) -> None:
    """The set that the address asks for is the one that answers."""
    wanted = parse(uri).replica_set
    if wanted is None or hello.set_name is None:
        checks.ok(name, "none asked for")
    elif wanted == hello.set_name:
        checks.ok(name, wanted)
    else:
        checks.fail(
            name,
            f"the address asks for the set {wanted}, and the servers belong to {hello.set_name}",
            f"Write replicaSet={hello.set_name} in REPLICATOR_MONGO_URI.",
        )


def check_members(uri: str, hello: Hello, checks: Checklist, name: str) -> None:
    """The names that members call themselves lead to them from here: drivers use these, not the address."""
    if parse(uri).is_direct or not hello.hosts:
        checks.ok(name, "not used, the address asks for one server")
        return
    problems = {host: problem for host in hello.hosts if (problem := _unreachable(host))}
    if not problems:
        checks.ok(name, ", ".join(hello.hosts))
        return
    cause = "; ".join(f"{host}: {problem}" for host, problem in problems.items())
    fix = (
        "The replica set's configuration names its members; these names must resolve and answer from here "
        "(rs.conf() shows, rs.reconfig() changes them; or add them to /etc/hosts)."
    )
    if len(problems) < len(hello.hosts):
        checks.warn(name, cause, fix)
    else:
        checks.fail(name, cause, fix, exit_code=Retryable.exit_code)


def _hello(node: tuple[str, int | None], address: Address, wait_ms: int) -> Hello | None:
    """What this server says to somebody without a name: ``hello`` needs none."""
    encryption = {name: value for name, value in address.options.items() if name.lower().startswith(("tls", "ssl"))}
    host, port = node
    try:
        client: MongoClient[dict[str, Any]] = MongoClient(
            host,
            port,
            directConnection=True,
            serverSelectionTimeoutMS=wait_ms,
            connectTimeoutMS=wait_ms,
            socketTimeoutMS=wait_ms,
            **encryption,
        )
        with client:
            reply = client.admin.command("hello")
    except (PyMongoError, OSError):
        return None
    return Hello(
        reply.get("setName"),
        tuple(reply.get("hosts", ())),
        reply["localTime"].timestamp(),
        reply.get("msg") == "isdbgrid",
        bool(reply.get("isreplicaset")),
    )


def _unreachable(host: str) -> str | None:
    """Why a member's own name does not lead to it."""
    name, _, port = host.rpartition(":")
    try:
        found: Sequence[Any] = socket.getaddrinfo(name.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return "this name does not resolve"
    try:
        socket.create_connection(found[0][4][:2], timeout=_CONNECT_SECONDS).close()
    except OSError:
        return "nobody answers"
    return None


def _spelled(node: tuple[str, int | None]) -> str:
    host, port = node
    return host if port is None else f"{host}:{port}"
