"""How the tests run their servers: real ones, tuned to be fast and to take fault points."""

from __future__ import annotations

import os

from devstack.mongo import MongoReplicaSet
from devstack.postgres import FAST_SETTINGS, PostgresServer

TEST_COMMANDS = {"enableTestCommands": "1"}


def start_mongo(*, members: int = 1) -> MongoReplicaSet:
    """Start a temporary replica set that knows `configureFailPoint`."""
    return MongoReplicaSet.start(members=members, parameters=TEST_COMMANDS)


POSTGRES_VERSION = int(os.environ.get("DEVSTACK_POSTGRES", "18"))
"""What the tests run on that ask for no version. `DEVSTACK_MONGOD` chooses the mongod, see `devstack.binaries`."""


def start_postgres(*, version: int = POSTGRES_VERSION) -> PostgresServer:
    """Start a temporary server that survives a kill, though not a power cut."""
    return PostgresServer.start(version=version, settings={**FAST_SETTINGS, "max_connections": "200"})
