"""What is wrong with the certificate that PostgreSQL shows: libpq only says that it is.

So the server is asked for it once more, on a line of its own that ends before anything is sent.
"""

from __future__ import annotations

import socket
import ssl
import struct
from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_SECONDS = 3.0
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
"""The message that asks for TLS: chapter "Message Formats" of PostgreSQL's manual, SSLRequest."""

_HAS_EXPIRED = 10
"""X509_V_ERR_CERT_HAS_EXPIRED of OpenSSL."""


class Distrust(Enum):
    """Why a certificate is not accepted."""

    EXPIRED = auto()
    UNTRUSTED = auto()


def why_distrusted(host: str, port: int, authorities: Path | None) -> Distrust:
    """Ask again, trusting ``authorities`` (a file), or those of the system.

    Whatever cannot be told from here counts as not trusted, which is what libpq has found.
    """
    try:
        context = ssl.create_default_context(cafile=authorities)
        context.check_hostname = False
        with socket.create_connection((host, port), timeout=_SECONDS) as line:
            line.sendall(_SSL_REQUEST)
            if line.recv(1) == b"S":
                context.wrap_socket(line, server_hostname=host).close()
    except ssl.SSLCertVerificationError as error:
        return Distrust.EXPIRED if error.verify_code == _HAS_EXPIRED else Distrust.UNTRUSTED
    except (OSError, ValueError):
        pass
    return Distrust.UNTRUSTED
