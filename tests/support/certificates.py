"""A private certificate authority, and the certificates that it signs, as files in PEM form."""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from devstack.account import unprivileged
from devstack.postgres import change_owner

if TYPE_CHECKING:
    from pathlib import Path

DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Certificate:
    """Files of one certificate: by itself, its key, and both in one as MongoDB wants them."""

    certificate: Path
    key: Path
    both: Path

    def copied_to(self, other: Certificate) -> None:
        """Put this one into the files of another, as a renewal does."""
        for mine, theirs in ((self.certificate, other.certificate), (self.key, other.key), (self.both, other.both)):
            theirs.write_bytes(mine.read_bytes())

    def given_to_servers(self) -> Self:
        """Let the OS user that PostgreSQL runs as own the files: it reads no key of somebody else's."""
        for path in (self.certificate, self.key, self.both):
            change_owner(path, unprivileged())
        return self


class Authority:
    """Signs certificates. `certificate` is its own, for those who trust it."""

    def __init__(self, directory: Path, name: str = "private authority") -> None:
        directory.mkdir(exist_ok=True, mode=0o755)
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._signed = 0
        signed = (
            self._built(self._name, self._key, lasts=365 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.certificate = directory / "authority.pem"
        self.certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))

    def signs(self, common_name: str, *, hosts: tuple[str, ...] = (), lasts: dt.timedelta = 30 * DAY) -> Certificate:
        """Make a certificate of a server (with `hosts`) or a client; with a negative time it has expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name(
            [
                # MongoDB takes whoever shares this with its servers for one of them.
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "servers" if hosts else "clients"),
                x509.NameAttribute(NameOID.COMMON_NAME, common_name),
            ]
        )
        built = self._built(subject, key, lasts=lasts).add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
        )
        if hosts:
            built = built.add_extension(x509.SubjectAlternativeName([_general(host) for host in hosts]), critical=False)
        signed = built.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self._signed += 1
        stem = f"{common_name}-{self._signed}"
        made = Certificate(*(self._directory / f"{stem}{suffix}.pem" for suffix in ("", ".key", ".both")))
        for path, content in ((made.certificate, signed), (made.key, secret), (made.both, signed + secret)):
            path.touch(mode=0o600)
            path.write_bytes(content)
        return made

    def _built(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, lasts: dt.timedelta
    ) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 400 * DAY)
            .not_valid_after(now + lasts)
        )


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
