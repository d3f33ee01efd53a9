"""Both servers at once, as the demo and `devstack up` run them: with settings that survive a power cut."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from devstack.account import may_enter, unprivileged
from devstack.mongo import MongoReplicaSet
from devstack.postgres import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOTS_OWN_PLACE = Path("/var/lib/mongo-pg-replicator")


@dataclass(frozen=True, slots=True)
class Stack:
    """A running replica set and a running PostgreSQL."""

    mongo: MongoReplicaSet
    postgres: PostgresServer

    @property
    def running(self) -> bool:
        """Whether every server process still runs."""
        return self.postgres.running and all(member.running for member in self.mongo.members)


@contextmanager
def running_stack(
    directory: Path | None = None,
    *,
    members: int = 1,
    postgres_version: int = 18,
    mongo_port: int | None = None,
    postgres_port: int | None = None,
) -> Iterator[Stack]:
    """Run both servers; with a directory their files are kept there and used again the next time."""
    mongo_directory = directory / "mongo" if directory else None
    postgres_directory = postgres_place(directory, postgres_version) if directory else None
    with (
        MongoReplicaSet.start(mongo_directory, members=members, port=mongo_port) as mongo,
        PostgresServer.start(postgres_directory, version=postgres_version, port=postgres_port) as postgres,
    ):
        yield Stack(mongo=mongo, postgres=postgres)


def postgres_place(directory: Path, version: int) -> Path:
    """Return where PostgreSQL's files go: one place per version, since no version reads another's.

    Started by root below a closed home, PostgreSQL could not reach its files as the other user that it becomes: then
    they are below /var/tmp, under a name that follows from the directory.
    """
    wanted = directory.resolve() / f"postgres-{version}"
    if may_enter(unprivileged(), wanted):
        return wanted
    name = hashlib.sha256(str(wanted).encode()).hexdigest()[:12]
    return _ROOTS_OWN_PLACE / name
