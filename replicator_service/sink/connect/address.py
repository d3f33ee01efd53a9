"""What an address of PostgreSQL names: for messages, so never the password."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psycopg
from psycopg import conninfo, pq, sql


@dataclass(frozen=True, slots=True)
class Address:
    """Hosts with their ports, the user and the database, as libpq would take them; empty where nothing names them.

    ``authorities`` is the file of those who may sign the server's certificate, where one is named.
    """

    hosts: tuple[str, ...] = ()
    user: str = ""
    database: str = ""
    authorities: Path | None = None

    @classmethod
    def of(cls, dsn: str) -> Self:
        """Read an address, with what the environment (``PGHOST``, ...) and libpq add to it. Never raises."""
        try:
            parameters = conninfo.conninfo_to_dict(dsn)
        except psycopg.Error:
            return cls()
        defaults = pq.Conninfo.get_defaults()
        named = {each.keyword.decode(): each.val.decode() for each in defaults if each.val is not None}
        named |= {name: str(value) for name, value in parameters.items() if value is not None}
        hosts = (named.get("host") or named.get("hostaddr") or "localhost").split(",")
        ports = (named.get("port") or "5432").split(",")
        places = tuple(
            f"{host or 'localhost'}:{ports[number] if len(ports) == len(hosts) else ports[0]}"
            for number, host in enumerate(hosts)
        )
        user = named.get("user", "")
        root = named.get("sslrootcert", "")
        return cls(places, user, named.get("dbname") or user, Path(root) if root not in ("", "system") else None)

    def __str__(self) -> str:
        """The hosts, or nothing."""
        return ", ".join(self.hosts)

    @property
    def quoted_user(self) -> str:
        """The user as a statement names it."""
        return sql.Identifier(self.user).as_string() if self.user else "ROLE"

    @property
    def quoted_database(self) -> str:
        """The database as a statement names it."""
        return sql.Identifier(self.database).as_string() if self.database else "DATABASE"
