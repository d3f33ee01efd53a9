"""Fixtures of the mart tests: a connection to a fresh database, and the shop's replicated tables in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.marts.shop import Shop, create_shop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.databases import Sink


@pytest.fixture
def dsn(sink: Sink) -> str:
    return sink.dsn


@pytest.fixture
def connection(dsn: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(dsn, autocommit=True) as opened:
        yield opened


@pytest.fixture
def shop(connection: psycopg.Connection[tuple[object, ...]]) -> Shop:
    create_shop(connection)
    return Shop(connection)
