"""A whole COPY TO at once: every byte, errors as errors, and a session that goes on afterwards."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql

from replicator_service.sink.connect.connection import connect
from replicator_service.sink.connect.copy_out import copy_out

if TYPE_CHECKING:
    from tests.support.databases import Sink


def copied(sink: Sink, query: str) -> bytes:
    """What comes of a query, on a connection that is as good afterwards as before."""
    with closing(connect(sink.dsn, application_name="test")) as connection:
        try:
            return copy_out(connection, sql.Composed([sql.SQL("copy (" + query + ") to stdout")]))
        finally:
            assert connection.execute("select 1").fetchone() == (1,)


def test_everything_is_copied(sink: Sink) -> None:
    rows = copied(sink, "select i, repeat('x', i % 3000) from generate_series(1, 20000) as i")
    assert rows == b"".join(b"%d\t%b\n" % (i, b"x" * (i % 3000)) for i in range(1, 20001))


def test_nothing_is_copied(sink: Sink) -> None:
    assert copied(sink, "select 1 where false") == b""


@pytest.mark.parametrize("query", ["select nothing", "select 1 / (5000 - i) from generate_series(1, 10000) as i"])
def test_an_error_is_raised_wherever_it_happens(sink: Sink, query: str) -> None:
    with pytest.raises((psycopg.errors.UndefinedColumn, psycopg.errors.DivisionByZero)):
        copied(sink, query)
