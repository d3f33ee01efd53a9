"""Random histories against two small oracles: the SCD rules, and the days of ``user_activity``, in plain Python."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.marts.shop import Shop, at
from tests.marts.things import current, set_things, things, versions
from warehouse_jobs.marts import load

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[tuple[object, ...]]

EXAMPLES = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

Row = tuple[str | None, int | None]
ROWS = st.tuples(st.sampled_from([None, "x", "y", ""]), st.sampled_from([None, 0, 1]))
STATES = st.dictionaries(st.sampled_from("abcd"), ROWS, max_size=4)


@dataclass(slots=True)
class Version:
    """One version of the oracle; days of January stand for times."""

    key: str
    row: Row
    start: int
    end: int | None = None


def expected_versions(history: list[dict[str, Row]]) -> list[Version]:
    """Apply the rules one key at a time, as a person would."""
    result: list[Version] = []
    for day, state in enumerate(history, start=1):
        for version in result:
            if version.end is None and state.get(version.key) != version.row:
                version.end = day
        open_keys = {version.key for version in result if version.end is None}
        result += [Version(key, row, day) for key, row in state.items() if key not in open_keys]
    return sorted(result, key=lambda version: (version.key, version.start))


@EXAMPLES
@given(history=st.lists(STATES, min_size=1, max_size=8), retried=st.booleans())
def test_every_history_of_the_source_becomes_its_versions(
    connection: Connection, dsn: str, history: list[dict[str, Row]], *, retried: bool
) -> None:
    connection.execute("drop schema if exists mart cascade")
    mart = things()
    for day, state in enumerate(history, start=1):
        set_things(connection, state)
        result = load(dsn, mart, at(f"2026-01-{day:02}"))
        assert result.rows == result.inserted + result.versioned + result.unchanged == len(state)
        if retried:
            assert load(dsn, mart, at(f"2026-01-{day:02}")).changed == 0

    expected = expected_versions(history)
    assert versions(connection) == [(v.key, *v.row, v.start, v.end) for v in expected]

    # Loading step by step ends where one load of the last state does.
    step_by_step = current(connection)
    connection.execute("drop schema mart cascade")
    load(dsn, mart, at("2026-02-01"))
    assert current(connection) == step_by_step


TIMES = st.datetimes(datetime(2023, 12, 1), datetime(2024, 5, 1), timezones=st.just(UTC))  # noqa: DTZ001 - Hypothesis wants naive bounds and adds the zone itself
ZONES = ["UTC", "Europe/Moscow", "America/St_Johns", "Pacific/Kiritimati"]


@EXAMPLES
@given(
    sessions=st.lists(TIMES, max_size=12), events=st.lists(TIMES, max_size=12), as_of=TIMES, zone=st.sampled_from(ZONES)
)
def test_days_are_the_days_of_a_calendar(
    shop: Shop, dsn: str, sessions: list[datetime], events: list[datetime], as_of: datetime, zone: str
) -> None:
    shop.connection.execute("drop schema if exists mart cascade")
    shop.connection.execute("truncate origin.user_sessions, origin.event_logs")
    for number, time in enumerate(sessions):
        shop.add("user_sessions", user_id="anna", session_id=str(number), start_time=time)
    for time in events:
        shop.add("event_logs", user_id="anna", timestamp=time, event_type="login")
    load(dsn, "user_activity", as_of, timezone=zone)

    def days(times: list[datetime]) -> int:
        return len({time.astimezone(ZoneInfo(zone)).date() for time in times})

    seen = sessions + events
    recent = [time for time in seen if month_before(as_of, zone) < time <= as_of]
    query = "select days_active, days_active_last_month from mart.user_activity"
    assert shop.connection.execute(query).fetchall() == ([(days(seen), days(recent))] if seen else [])


def month_before(time: datetime, zone: str) -> datetime:
    """Go back to the same day and time of the month before, or to its last day when it is shorter."""
    local = time.astimezone(ZoneInfo(zone))
    last_of_month_before = local.replace(day=1) - timedelta(days=1)
    return last_of_month_before.replace(day=min(local.day, last_of_month_before.day))
