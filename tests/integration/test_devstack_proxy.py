"""The proxy that tests put between the service and a server."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from devstack.proxy import TcpProxy
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.postgres import PostgresServer

Connection = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
def proxy(postgres_server: PostgresServer) -> Iterator[TcpProxy]:
    with TcpProxy(postgres_server.port) as proxy:
        yield proxy


@pytest.fixture
def proxied_dsn(postgres_server: PostgresServer, proxy: TcpProxy) -> str:
    return make_conninfo(postgres_server.dsn(), port=proxy.port, connect_timeout=5, sslmode="disable")


def _answer(connection: Connection) -> object:
    row = connection.execute("select repeat('x', 1000000)").fetchone()
    return row and len(row[0])


def test_it_passes_bytes_both_ways(proxied_dsn: str) -> None:
    with psycopg.connect(proxied_dsn, autocommit=True) as connection:
        assert _answer(connection) == 1_000_000


def test_it_forgets_a_connection_that_has_ended(proxy: TcpProxy, proxied_dsn: str) -> None:
    with psycopg.connect(proxied_dsn):
        assert proxy.connections == 1
    wait_until(lambda: proxy.connections == 0, message="the proxy to forget the connection")


def test_a_cut_ends_connections_and_lets_new_ones_in(proxy: TcpProxy, proxied_dsn: str) -> None:
    with psycopg.connect(proxied_dsn, autocommit=True) as connection:
        proxy.reset()
        assert proxy.connections == 0
        with pytest.raises(psycopg.OperationalError):
            connection.execute("select 1")
    with psycopg.connect(proxied_dsn) as connection:
        assert _answer(connection) == 1_000_000


def test_while_deaf_nothing_passes_and_afterwards_the_answer_comes(proxy: TcpProxy, proxied_dsn: str) -> None:
    with psycopg.connect(proxied_dsn, autocommit=True) as connection, ThreadPoolExecutor(1) as thread:
        proxy.deaf()
        answer = thread.submit(_answer, connection)
        with pytest.raises(psycopg.errors.ConnectionTimeout):
            psycopg.connect(make_conninfo(proxied_dsn, connect_timeout=2))
        assert not answer.done()
        proxy.restore()
        assert answer.result(timeout=10) == 1_000_000


def test_a_deaf_connection_can_be_cut(proxy: TcpProxy, proxied_dsn: str) -> None:
    with psycopg.connect(proxied_dsn, autocommit=True) as connection, ThreadPoolExecutor(1) as thread:
        proxy.deaf()
        answer = thread.submit(_answer, connection)
        proxy.reset()
        with pytest.raises(psycopg.OperationalError):
            answer.result(timeout=10)


def test_a_refusal_lasts_until_the_line_is_restored(proxy: TcpProxy, proxied_dsn: str) -> None:
    proxy.refuse()
    with pytest.raises(psycopg.OperationalError, match="refused"):
        psycopg.connect(proxied_dsn)
    proxy.restore()
    with psycopg.connect(proxied_dsn) as connection:
        assert _answer(connection) == 1_000_000


def test_a_server_that_is_far_away_answers_after_a_round_trip_and_its_bytes_do_not_wait_for_each_other(
    postgres_server: PostgresServer,
) -> None:
    with TcpProxy(postgres_server.port, round_trip=0.2) as proxy:
        dsn = make_conninfo(postgres_server.dsn(), port=proxy.port, connect_timeout=30, sslmode="disable")
        with psycopg.connect(dsn, autocommit=True) as connection:
            before, began = proxy.round_trips, time.monotonic()
            connection.execute("select 1")
            assert time.monotonic() - began >= 0.2
            assert proxy.round_trips - before == 1
            # A megabyte is many pieces: all of them are under way at a time.
            began = time.monotonic()
            assert _answer(connection) == 1_000_000
            assert 0.2 <= time.monotonic() - began < 2.0
