"""Why no primary has been found: what the driver has seen of each server, and what a plain socket sees, in words.

The driver keeps its own error of each server without the socket's, so that has to be asked for again.
"""

from __future__ import annotations

import re
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pymongo import errors

from replicator_service.core.errors import ConfigurationError, ReplicatorError, SourceUnavailable

if TYPE_CHECKING:
    from replicator_service.source.connect.address import Encryption
    from replicator_service.source.connect.connection import Client

_SHOWN = 3
_CONNECT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Problem:
    """What one server does, as the end of a sentence, and what to do; ``is_final`` is what no waiting ends."""

    cause: str
    hint: str
    is_final: bool = False


_UNKNOWN_NAME = _Problem(
    "has a name that does not resolve",
    "The hosts in REPLICATOR_MONGO_URI and the members' own names (rs.conf()) have to resolve from here.",
)
_REFUSES = _Problem(
    "refuses the connection",
    "Check that MongoDB runs, and the host and port in REPLICATOR_MONGO_URI.",
)
_SILENT = _Problem(
    "does not answer",
    "Check the host and port in REPLICATOR_MONGO_URI, and for a firewall in between.",
)
_CLOSES = _Problem(
    "closes the connection",
    "Check that MongoDB listens on this port, and whether it wants tls=true in REPLICATOR_MONGO_URI.",
)
_WANTS_TLS = _Problem(
    "speaks TLS alone",
    "Add tls=true to REPLICATOR_MONGO_URI, and tlsCAFile=FILE unless a public authority has signed its certificate.",
    is_final=True,
)
_WANTS_CERTIFICATE = _Problem(
    "asks for a certificate of ours, and the address names none",
    "Add tlsCertificateKeyFile=FILE (certificate and key in one file) to REPLICATOR_MONGO_URI.",
    is_final=True,
)
_REFUSES_CERTIFICATE = _Problem(
    "does not take the certificate that tlsCertificateKeyFile names",
    "It has expired, or the server does not know the authority that signed it: openssl x509 -in FILE -noout -enddate "
    "-issuer. MongoDB's log has the reason. A file that is renewed is read again by itself.",
    is_final=True,
)
_EXPIRED = _Problem(
    "shows a certificate that has expired",
    "Renew it, then db.adminCommand({rotateCertificates: 1}) on that server. If it is new, check the clock here.",
    is_final=True,
)
_OTHER_HOST = _Problem(
    "shows a certificate of another host",
    "Name the servers as their certificates do, in REPLICATOR_MONGO_URI and as the members' own names (rs.conf()): "
    "openssl x509 -in FILE -noout -ext subjectAltName.",
    is_final=True,
)
_UNTRUSTED = _Problem(
    "shows a certificate that is not trusted here",
    "Set tlsCAFile in REPLICATOR_MONGO_URI to the certificate of the authority that signed it.",
    is_final=True,
)
_NO_TLS = _Problem(
    "does not speak TLS as the address asks",
    "Leave tls=true out of REPLICATOR_MONGO_URI, or turn TLS on at the server (net.tls.mode).",
)
_ENDS_TLS = _Problem(
    "ends the encrypted connection as it begins",
    "Let this machine's address in: Atlas does so with machines that are not on the project's IP access list. "
    "MongoDB's log, or that of what stands before it, has the reason.",
)


def why_absent(client: Client, encryption: Encryption) -> ReplicatorError:
    """What keeps the client, whose address says so of TLS, from a primary."""
    topology = client.topology_description
    servers = topology.server_descriptions()
    kinds = {each.server_type_name for each in servers.values()}
    if not servers or any(isinstance(each.error, errors.ConfigurationError) for each in servers.values()):
        return ConfigurationError(
            f"no server of the MongoDB address belongs to the replica set {topology.replica_set_name} that it asks for",
            hint="'replicator check' tells which set they belong to. A mongos and a standalone server belong to none: "
            "start the latter with --replSet and run rs.initiate() once.",
        )
    if "RSGhost" in kinds:
        return uninitiated()
    if kinds - {"Unknown"}:
        return SourceUnavailable(
            "MongoDB's replica set has no primary now",
            hint="An election takes seconds. If it lasts, most of the members are away: rs.status() shows which.",
        )
    # One that the driver has heard nothing of, not even a refusal, is frozen, or behind a firewall.
    problems = {
        place: _SILENT if each.error is None else _problem(*place, each.error, encryption)
        for place, each in servers.items()
    }
    shown = "; ".join(f"{_spelled(*place)} {each.cause}" for place, each in list(problems.items())[:_SHOWN])
    hints = dict.fromkeys(each.hint for each in problems.values())
    kind = ConfigurationError if all(each.is_final for each in problems.values()) else SourceUnavailable
    return kind(f"MongoDB cannot be reached: {shown}", hint=" ".join(hints))


def uninitiated() -> ReplicatorError:
    """The servers are there, and nobody has made them a replica set yet."""
    return SourceUnavailable(
        "MongoDB's replica set has not been initiated", hint="Run rs.initiate() once, on one of its members."
    )


def _problem(host: str, port: int | None, error: Exception, encryption: Encryption) -> _Problem:
    # OpenSSL's own names of what went wrong, which the driver repeats.
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return _distrusted(str(error))
    if re.search(r"\[SSL: \w*ALERT_\w*CERTIFICATE|ALERT_UNKNOWN_CA", str(error)):
        return _REFUSES_CERTIFICATE if encryption.shows_certificate else _WANTS_CERTIFICATE
    if "[SSL" in str(error):
        return _ENDS_TLS if "ALERT" in str(error) else _NO_TLS
    if isinstance(error, errors.NetworkTimeout):
        return _SILENT
    try:
        with socket.create_connection((host, port or 27017), timeout=_CONNECT_SECONDS) as line:
            return _closing(line, host, encryption)
    except socket.gaierror:
        return _UNKNOWN_NAME
    except ConnectionRefusedError:
        return _REFUSES
    except (OSError, UnicodeError):
        return _SILENT


def _distrusted(told: str) -> _Problem:
    if "has expired" in told:
        return _EXPIRED
    return _OTHER_HOST if "mismatch" in told else _UNTRUSTED


def _closing(line: socket.socket, host: str, encryption: Encryption) -> _Problem:
    """Why a server takes a connection and closes it before it has said a word: by whether it speaks TLS.

    A server that does not take our certificate completes the handshake, and closes then.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # Nothing is sent: only whether there is TLS counts.
    try:
        context.wrap_socket(line, server_hostname=host).close()
    except (OSError, ValueError):
        return _CLOSES
    if not encryption.is_on:
        return _WANTS_TLS
    return _REFUSES_CERTIFICATE if encryption.shows_certificate else _WANTS_CERTIFICATE


def _spelled(host: str, port: int | None) -> str:
    return host if port is None else f"{host}:{port}"
