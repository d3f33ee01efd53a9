"""How the tests run their servers: real ones, tuned to be fast and to take fault points."""

from __future__ import annotations

from devstack.mongo import MongoReplicaSet
from devstack.postgres import FAST_SETTINGS, PostgresServer

TEST_COMMANDS = {"enableTestCommands": "1"}


def start_mongo(*, members: int = 1) -> MongoReplicaSet:
    """Start a temporary replica set that knows `configureFailPoint`."""
    return MongoReplicaSet.start(members=members, parameters=TEST_COMMANDS)


def start_postgres(*, version: int = 18) -> PostgresServer:
    """Start a temporary server that survives a kill, though not a power cut."""
    return PostgresServer.start(version=version, settings={**FAST_SETTINGS, "max_connections": "200"})
