"""Why no primary has been found: what the driver has seen of each server, and what a plain socket sees, in words.

The driver keeps its own error of each server without the socket's, so that has to be asked for again.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from pymongo import errors

from replicator_service.core.errors import ConfigurationError, ReplicatorError, SourceUnavailable

if TYPE_CHECKING:
    from replicator_service.source.connect.connection import Client

_SHOWN = 3
_CONNECT_SECONDS = 1.0

_UNKNOWN_NAME = (
    "has a name that does not resolve",
    "The hosts in REPLICATOR_MONGO_URI and the members' own names (rs.conf()) have to resolve from here.",
)
_REFUSES = (
    "refuses the connection",
    "Check that MongoDB runs, and the host and port in REPLICATOR_MONGO_URI.",
)
_SILENT = (
    "does not answer",
    "Check the host and port in REPLICATOR_MONGO_URI, and for a firewall in between.",
)
_CLOSES = (
    "closes the connection",
    "Check that MongoDB listens on this port, and whether it wants tls=true in REPLICATOR_MONGO_URI.",
)
_UNTRUSTED = (
    "shows a certificate that is not trusted here, or is of another host",
    "Set tlsCAFile in REPLICATOR_MONGO_URI, and name the servers as their certificates do.",
)
_NO_TLS = (
    "does not speak TLS as the address asks",
    "Leave tls=true out of REPLICATOR_MONGO_URI, or turn TLS on at the server (net.tls.mode).",
)


def why_absent(client: Client) -> ReplicatorError | None:
    """What keeps the client from a primary; None when there is nothing to add."""
    topology = client.topology_description
    servers = topology.server_descriptions()
    kinds = {each.server_type_name for each in servers.values()}
    if not servers or any(isinstance(each.error, errors.ConfigurationError) for each in servers.values()):
        return ConfigurationError(
            f"no server of the MongoDB address belongs to the replica set {topology.replica_set_name} that it asks for",
            hint="'replicator check' tells which set they belong to. A standalone server belongs to none: start it "
            "with --replSet and run rs.initiate() once.",
        )
    if "RSGhost" in kinds:
        return uninitiated()
    if kinds - {"Unknown"}:
        return SourceUnavailable(
            "MongoDB's replica set has no primary now",
            hint="An election takes seconds. If it lasts, most of the members are away: rs.status() shows which.",
        )
    problems = {place: _problem(*place, each.error) for place, each in servers.items() if each.error is not None}
    if not problems:
        return None
    shown = "; ".join(f"{_spelled(*place)} {cause}" for place, (cause, _) in list(problems.items())[:_SHOWN])
    hints = dict.fromkeys(hint for _, hint in problems.values())
    return SourceUnavailable(f"MongoDB cannot be reached: {shown}", hint=" ".join(hints))


def uninitiated() -> ReplicatorError:
    """The servers are there, and nobody has made them a replica set yet."""
    return SourceUnavailable(
        "MongoDB's replica set has not been initiated", hint="Run rs.initiate() once, on one of its members."
    )


def _problem(host: str, port: int | None, error: Exception) -> tuple[str, str]:
    # OpenSSL's own names of what went wrong, which the driver repeats.
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return _UNTRUSTED
    if "[SSL" in str(error):
        return _NO_TLS
    if isinstance(error, errors.NetworkTimeout):
        return _SILENT
    try:
        socket.create_connection((host, port or 27017), timeout=_CONNECT_SECONDS).close()
    except socket.gaierror:
        return _UNKNOWN_NAME
    except ConnectionRefusedError:
        return _REFUSES
    except (OSError, UnicodeError):
        return _SILENT
    return _CLOSES


def _spelled(host: str, port: int | None) -> str:
    return host if port is None else f"{host}:{port}"
