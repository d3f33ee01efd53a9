"""How the tests run their servers: real ones, tuned to be fast and to take fault points."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from devstack.mongo import MongoReplicaSet
from devstack.postgres import FAST_SETTINGS, PostgresServer
from devstack.process import TEMPORARY

_MEMORY = Path("/dev/shm")  # noqa: S108 - directories in it are made by tempfile
_ROOM_BYTES = 6 << 30


def use_memory_for_files() -> None:
    """Let servers have their temporary files in memory, where it has room enough for all of them.

    A database is some 300 files: on a disk, making and dropping one for each test was a sixth of all the time.
    """
    if TEMPORARY not in os.environ and _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ROOM_BYTES:
        os.environ[TEMPORARY] = str(_MEMORY)


TEST_COMMANDS = {"enableTestCommands": "1"}


def start_mongo(*, members: int = 1) -> MongoReplicaSet:
    """Start a temporary replica set that knows `configureFailPoint`."""
    return MongoReplicaSet.start(members=members, parameters=TEST_COMMANDS)


POSTGRES_VERSION = int(os.environ.get("DEVSTACK_POSTGRES", "18"))
"""What the tests run on that ask for no version. `DEVSTACK_MONGOD` chooses the mongod, see `devstack.binaries`."""


_LIMITS = {"max_connections": "200", "max_wal_size": "256MB"}


def start_postgres(*, version: int = POSTGRES_VERSION) -> PostgresServer:
    """Start a temporary server that survives a kill, though not a power cut."""
    return PostgresServer.start(version=version, settings={**FAST_SETTINGS, **_LIMITS})
