"""Debian's PostgreSQL 15 with TLS: whom it lets in, and what it shows, changes with each test."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from devstack.postgres import FAST_SETTINGS, PostgresServer
from devstack.process import remove_directory, temporary_directory
from tests.support.certificates import DAY, Authority, Certificate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROLE = "replicator"
_WHO = f"""\
hostnossl all all 127.0.0.1/32 reject
hostssl all {ROLE} 127.0.0.1/32 cert
hostssl all all 127.0.0.1/32 scram-sha-256
"""
_HOSTS = ("127.0.0.1", "localhost")


@dataclass
class EncryptedPostgres:
    """The server, with certificates of servers and clients by what is the matter with them."""

    server: PostgresServer
    authority: Authority
    another: Authority
    servers: dict[str, Certificate]
    clients: dict[str, Certificate]
    shown: Certificate

    def shows(self, name: str) -> None:
        """Start anew with another certificate, unless it is shown already."""
        wanted = self.servers[name].certificate.read_bytes()
        if wanted != self.shown.certificate.read_bytes():
            self.servers[name].copied_to(self.shown)
            self.server.restart()

    def dsn(self, database: str, options: str, *, client: str | None = "good") -> str:
        """The address of the role that is known by its certificate; `{ca}` and others in the options are filled in."""
        filled = options.format(ca=self.authority.certificate, another=self.another.certificate)
        if client is not None:
            filled += f"&sslcert={self.clients[client].certificate}&sslkey={self.clients[client].key}"
        return f"postgresql://{ROLE}@127.0.0.1:{self.server.port}/{database}?{filled}"

    def administer(self, statement: str, *names: str) -> list[tuple[object, ...]]:
        """Run a statement as the superuser, and give its rows."""
        dsn = self.server.dsn() + "?sslmode=require"
        with psycopg.connect(dsn, autocommit=True) as connection:
            cursor = connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
            return cursor.fetchall() if cursor.description else []


@contextmanager
def encrypted_postgres() -> Iterator[EncryptedPostgres]:
    """Run it; nobody is let in without TLS."""
    directory = temporary_directory()
    try:
        authority, another = Authority(directory / "ca"), Authority(directory / "another", "another authority")
        servers = {
            "good": authority.signs("server", hosts=_HOSTS),
            "expired": authority.signs("server", hosts=_HOSTS, lasts=-DAY),
            "of another host": authority.signs("server", hosts=("db.example",)),
            "of another authority": another.signs("server", hosts=_HOSTS),
        }
        clients = {
            "good": authority.signs(ROLE),
            "expired": authority.signs(ROLE, lasts=-DAY),
            "of another authority": another.signs(ROLE),
            "of somebody": authority.signs("somebody"),
        }
        shown = authority.signs("shown", hosts=_HOSTS).given_to_servers()
        settings = _settings(directory, authority, shown)
        with PostgresServer.start(version=15, settings=settings) as server:
            found = EncryptedPostgres(server, authority, another, servers, clients, shown)
            found.administer(f"create role {ROLE} login")
            yield found
    finally:
        remove_directory(directory)


def _settings(directory: Path, authority: Authority, shown: Certificate) -> dict[str, str]:
    who = directory / "pg_hba.conf"
    who.write_text(_WHO)
    who.chmod(0o644)
    authority.certificate.chmod(0o644)
    return {
        **FAST_SETTINGS,
        "ssl": "on",
        "ssl_cert_file": str(shown.certificate),
        "ssl_key_file": str(shown.key),
        "ssl_ca_file": str(authority.certificate),
        "hba_file": str(who),
    }
