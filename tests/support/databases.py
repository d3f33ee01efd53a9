"""Fresh databases on the shared servers: one pair per test."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from pymongo import MongoClient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymongo.database import Database

    from devstack.mongo import MongoReplicaSet
    from devstack.postgres import PostgresServer

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Source:
    """A MongoDB database of a test's own. `uri` addresses the server, `name` is the database."""

    uri: str
    name: str
    client: MongoClient[Document]
    db: Database[Document]


@dataclass(frozen=True, slots=True)
class Sink:
    """A PostgreSQL database of a test's own, of which the user of `dsn` is the owner and superuser."""

    dsn: str
    name: str

    def connect(self, *, autocommit: bool = True) -> psycopg.Connection[tuple[Any, ...]]:
        """Open a connection; use it in a `with` statement."""
        return psycopg.connect(self.dsn, autocommit=autocommit)


@contextmanager
def fresh_source(server: MongoReplicaSet) -> Iterator[Source]:
    """Return a database with a random name and drop it afterwards."""
    name = f"source_{secrets.token_hex(5)}"
    client: MongoClient[Document] = MongoClient(server.uri, tz_aware=True, serverSelectionTimeoutMS=20_000)
    with client:
        try:
            yield Source(uri=server.uri, name=name, client=client, db=client[name])
        finally:
            client.drop_database(name)


@contextmanager
def fresh_sink(server: PostgresServer) -> Iterator[Sink]:
    """Return a database with a random name and drop it afterwards, with whoever is still connected."""
    name = f"sink_{secrets.token_hex(5)}"
    _execute(server, sql.SQL("create database {} template template0").format(sql.Identifier(name)))
    try:
        yield Sink(dsn=server.dsn(name), name=name)
    finally:
        _execute(server, sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def _execute(server: PostgresServer, statement: sql.Composed) -> None:
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(statement)
