"""Fixtures over the real servers: shared ones per session, databases per test.

A test that kills or reconfigures a server starts its own (`tests.support.servers`). A server that cannot be started
fails the tests that need it.
"""

from __future__ import annotations

import signal
from functools import cache
from typing import TYPE_CHECKING

import hypothesis
import pytest

from devstack.binaries import find_mongod
from tests.support.databases import Sink, Source, fresh_sink, fresh_source
from tests.support.examples import some
from tests.support.servers import POSTGRES_VERSION, start_mongo, start_postgres, use_memory_for_files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.mongo import MongoReplicaSet
    from devstack.postgres import PostgresServer


_SERVERS = {
    "mongo_server",
    "mongo_three_nodes",
    "postgres_server",
    "postgres15_server",
    "postgres16_server",
    "airflow_home",
}


def pytest_configure() -> None:
    """Commands under test can be interrupted, also when the tests run in a shell's background, which ignores Ctrl-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    use_memory_for_files()
    # How long an example takes on a busy machine says nothing of what it shows.
    hypothesis.settings.register_profile("whatever it takes", deadline=None, max_examples=some(100))
    hypothesis.settings.load_profile("whatever it takes")


@pytest.hookimpl(tryfirst=True)  # before what is marked is chosen
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark who gets servers; leave out what older servers lack: `needs_mongodb("6.0")`, `needs_postgres("17")`."""
    for item in items:
        if _SERVERS & set(getattr(item, "fixturenames", ())):
            item.add_marker("servers")
    left_out = [
        item
        for name, version in (("needs_mongodb", _mongod), ("needs_postgres", _postgres))
        for item in items
        if (mark := item.get_closest_marker(name)) and version() < _number(mark.args[0])
    ]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@cache
def _mongod() -> tuple[int, ...]:
    return _number(find_mongod().version)


def _postgres() -> tuple[int, ...]:
    return (POSTGRES_VERSION,)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


@pytest.fixture(scope="session")
def mongo_server() -> Iterator[MongoReplicaSet]:
    """A single-node replica set."""
    with start_mongo() as server:
        yield server


@pytest.fixture(scope="session")
def mongo_three_nodes() -> Iterator[MongoReplicaSet]:
    """A replica set of three nodes."""
    with start_mongo(members=3) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """PostgreSQL 18, unless `DEVSTACK_POSTGRES` says otherwise."""
    with start_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def postgres15_server() -> Iterator[PostgresServer]:
    """Debian's PostgreSQL 15, the oldest that is supported."""
    with start_postgres(version=15) as server:
        yield server


@pytest.fixture(scope="session")
def postgres16_server() -> Iterator[PostgresServer]:
    """PostgreSQL 16."""
    with start_postgres(version=16) as server:
        yield server


@pytest.fixture
def source(mongo_server: MongoReplicaSet) -> Iterator[Source]:
    """An empty MongoDB database."""
    with fresh_source(mongo_server) as database:
        yield database


@pytest.fixture
def sink(postgres_server: PostgresServer) -> Iterator[Sink]:
    """An empty PostgreSQL database."""
    with fresh_sink(postgres_server) as database:
        yield database
