"""Taking back the last load leaves everything as it was before, and loading again is as if it had never been."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from tests.marts.shop import at
from tests.marts.things import set_things, things, with_column
from tests.support.examples import examples
from warehouse_jobs.marts import UndoRefusedError, load, undo

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[tuple[object, ...]]

ROW = st.tuples(st.sampled_from([None, "x", "y"]), st.sampled_from([None, 0, 1]))
STATES = st.dictionaries(st.sampled_from("abcd"), ROW, max_size=4)
NOTES = [None, "1.50", "NaN"]
SELECT = "select id, label, amount, extra::numeric as extra from things"


def everything(connection: Connection) -> tuple[object, ...]:
    """What a load may change, but for how long it took and when."""
    versions = """
        select id, label, amount, extra::text, etl_valid_from, etl_valid_to
        from mart.things_history
        order by id, etl_valid_from
    """
    rows = "select id, label, amount, extra::text, etl_valid_from from mart.things order by id"
    loads = "select as_of, rows, inserted, versioned, closed, overwritten, unchanged from mart.load_run order by as_of"
    return tuple(connection.execute(query).fetchall() for query in (versions, rows, loads))


@examples(25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(history=st.lists(st.tuples(STATES, st.sampled_from(NOTES)), min_size=2, max_size=5))
def test_undo_gives_what_was_before_and_a_new_load_what_would_have_been(
    connection: Connection, dsn: str, history: list[tuple[dict[str, tuple[str | None, int | None]], str | None]]
) -> None:
    connection.execute("drop schema if exists mart cascade")
    mart = things(SELECT, columns=with_column("extra", "numeric", tracked=False))
    for day, (state, note) in enumerate(history, start=1):
        set_things(connection, state)
        connection.execute("update things set extra = %s", [note])
        before = everything(connection) if day > 1 else None
        load(dsn, mart, at(f"2026-01-{day:02}"))
        after = everything(connection)
        result = undo(dsn, mart)
        assert result.as_of == at(f"2026-01-{day:02}")
        if before is not None:
            assert everything(connection) == before
        load(dsn, mart, at(f"2026-01-{day:02}"))
        assert everything(connection) == after


def test_undoing_again_takes_back_the_load_before(connection: Connection, dsn: str) -> None:
    for day in (1, 2, 3):
        set_things(connection, {"a": ("x", day), str(day): ("y", day)})
        load(dsn, things(), at(f"2026-01-0{day}"))
    assert [undo(dsn, things()).last for _ in range(3)] == [at("2026-01-02"), at("2026-01-01"), None]
    assert connection.execute("select count(*) from mart.things_history").fetchone() == (0,)
    with pytest.raises(UndoRefusedError, match="no load that could be taken back"):
        undo(dsn, things())


def test_what_cannot_be_taken_back_exactly_is_refused(connection: Connection, dsn: str) -> None:
    mart = things(SELECT, columns=with_column("extra", "numeric", tracked=False))
    set_things(connection, {"a": ("x", 1)})
    for day in (1, 2, 3):
        connection.execute("update things set extra = %s", [str(day)])
        load(dsn, mart, at(f"2026-01-0{day}"))
    undo(dsn, mart)
    before = connection.execute("select * from mart.things_history").fetchall()
    with pytest.raises(UndoRefusedError, match="overwrote 1 row in place, and what they were is known of 0"):
        undo(dsn, mart)
    assert connection.execute("select * from mart.things_history").fetchall() == before
