"""Keys of any length have a history, also where an earlier release has made it."""

from __future__ import annotations

import random
import string
from typing import TYPE_CHECKING

import pytest

from tests.marts.shop import at
from tests.marts.things import set_things, things
from warehouse_jobs.marts import DefinitionError, ServerError, load

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[tuple[object, ...]]


def key_of(length: int) -> str:
    """A key that compression does not shorten much."""
    return "".join(random.Random(length).choices(string.ascii_letters + string.digits, k=length))  # noqa: S311 - the same text for a length, not a secret


@pytest.mark.parametrize("length", [2_650, 2_690, 9_000, 100_000])
def test_a_long_key_comes_changes_goes_and_returns(connection: Connection, dsn: str, length: int) -> None:
    key = key_of(length)
    set_things(connection, {"a": ("x", 1), key: ("x", 1)})
    load(dsn, things(), at("2026-01-01"))
    set_things(connection, {"a": ("x", 1), key: ("x", 2)})
    assert load(dsn, things(), at("2026-01-02")).versioned == 1
    set_things(connection, {"a": ("x", 1)})
    assert load(dsn, things(), at("2026-01-03")).closed == 1
    set_things(connection, {"a": ("x", 1), key: ("x", 1)})
    assert load(dsn, things(), at("2026-01-04")).inserted == 1
    query = "select count(*) from mart.things_history where id = %s"
    assert connection.execute(query, [key]).fetchone() == (3,)


def test_the_history_of_an_earlier_release_takes_long_keys_too(connection: Connection, dsn: str) -> None:
    set_things(connection, {"a": ("x", 1)})
    load(dsn, things(), at("2026-01-01"))
    for statement in (
        "drop index mart.things_history_current_1",
        "drop index mart.things_history_closed_1",
        "alter table mart.things_history_current add constraint things_history_current_key primary key (id)",
        "alter table mart.things_history_closed add constraint things_history_closed_pkey primary key (id, label)",
        "alter table mart.load_run drop column source_time, drop column warnings, drop column streams",
    ):
        connection.execute(statement.encode())
    set_things(connection, {"a": ("x", 1), key_of(9_000): ("x", 1)})
    assert load(dsn, things(), at("2026-01-02")).inserted == 1
    with pytest.raises(DefinitionError, match=r"the key is \(id\) in the history, \(id, label\) in the definition"):
        load(dsn, things(key=["id", "label"]), at("2026-01-03"))


def test_a_key_is_looked_up_by_an_index_in_both_parts_of_the_history(connection: Connection, dsn: str) -> None:
    set_things(connection, {"a": ("x", 1)})
    load(dsn, things(), at("2026-01-01"))
    connection.execute("set enable_seqscan = off")
    plan = connection.execute("explain select * from mart.things_history where id = 'a'").fetchall()
    assert sum("Index Cond" in str(line) for line in plan) == 2


def test_a_limit_of_the_server_is_not_called_a_lost_connection(connection: Connection, dsn: str) -> None:
    set_things(connection, {"a": ("x", 1)})
    load(dsn, things(), at("2026-01-01"))
    connection.execute("create index on mart.things_history_current using btree ((id || label))")
    set_things(connection, {key_of(9_001): ("x", 1)})
    with pytest.raises(DefinitionError, match="index row requires") as caught:
        load(dsn, things(), at("2026-01-02"))
    assert not isinstance(caught.value, ServerError)
