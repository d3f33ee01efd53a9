"""Why no primary has been found: what the driver has seen of each server, in words."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

from pymongo.errors import NetworkTimeout

from replicator_service.core.errors import ConfigurationError, ReplicatorError, Retryable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from replicator_service.source.connection import Client

_SHOWN = 3
_PROBLEMS: tuple[tuple[type[BaseException], str, str], ...] = (
    (
        ssl.SSLCertVerificationError,
        "shows a certificate that is not trusted here",
        "Set tlsCAFile in REPLICATOR_MONGO_URI, and name the servers as their certificates do.",
    ),
    (
        ssl.SSLError,
        "does not speak TLS as the address asks",
        "Leave tls=true out of REPLICATOR_MONGO_URI, or turn TLS on at the server (net.tls.mode).",
    ),
    (
        socket.gaierror,
        "has a name that does not resolve",
        "The hosts in REPLICATOR_MONGO_URI and the members' own names (rs.conf()) have to resolve from here.",
    ),
    (
        ConnectionRefusedError,
        "refuses the connection",
        "Check that MongoDB runs, and the host and port in REPLICATOR_MONGO_URI.",
    ),
    (
        TimeoutError,
        "does not answer",
        "Check the host and port in REPLICATOR_MONGO_URI, and for a firewall in between.",
    ),
    (
        NetworkTimeout,
        "does not answer",
        "Check the host and port in REPLICATOR_MONGO_URI, and for a firewall in between.",
    ),
    (
        BaseException,
        "closes the connection",
        "Check that MongoDB listens on this port, and whether it wants tls=true in REPLICATOR_MONGO_URI.",
    ),
)
"""The first that fits; an error of the driver carries that of the socket as its cause."""


def why_absent(client: Client) -> ReplicatorError | None:
    """What keeps the client from a primary; None when there is nothing to add."""
    topology = client.topology_description
    servers = topology.server_descriptions()
    kinds = {each.server_type_name for each in servers.values()}
    if not servers:
        return ConfigurationError(
            f"no server of the MongoDB address belongs to the replica set {topology.replica_set_name} that it asks for",
            hint="'replicator check' tells which set they belong to. A standalone server belongs to none: start it "
            "with --replSet and run rs.initiate() once.",
        )
    if "RSGhost" in kinds:
        return Retryable(
            "MongoDB's replica set has not been initiated", hint="Run rs.initiate() once, on one of its members."
        )
    if kinds - {"Unknown"}:
        return Retryable(
            "MongoDB's replica set has no primary now",
            hint="An election takes seconds. If it lasts, most of the members are away: rs.status() shows which.",
        )
    problems = {_spelled(place): _problem(each.error) for place, each in servers.items() if each.error is not None}
    if not problems:
        return None
    shown = "; ".join(f"{place} {cause}" for place, (cause, _) in list(problems.items())[:_SHOWN])
    hints = dict.fromkeys(hint for _, hint in problems.values())
    return Retryable(f"MongoDB cannot be reached: {shown}", hint=" ".join(hints))


def _problem(error: BaseException) -> tuple[str, str]:
    causes = list(_causes(error))
    return next((cause, hint) for kind, cause, hint in _PROBLEMS if any(isinstance(each, kind) for each in causes))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _spelled(place: tuple[str, int | None]) -> str:
    host, port = place
    return host if port is None else f"{host}:{port}"
