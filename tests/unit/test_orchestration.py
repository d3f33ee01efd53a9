"""What stands between Airflow and the jobs, without Airflow."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING

import pytest

from warehouse_jobs.generator.parameters import Interval
from warehouse_jobs.orchestration.environment import VariablesError, connections
from warehouse_jobs.orchestration.errors import FormError
from warehouse_jobs.orchestration.run_times import RunTimes, time_of
from warehouse_jobs.orchestration.setting_names import as_in_airflow
from warehouse_jobs.orchestration.task_log import lines_of
from warehouse_jobs.orchestration.trigger_form import require_known

if TYPE_CHECKING:
    from pathlib import Path

NOON = datetime(2026, 3, 5, 12, 7, 31, tzinfo=UTC)


class DagRunType(str, Enum):  # noqa: UP042 - a StrEnum's str would be its value, and Airflow's is not
    """As Airflow's, whose ``str`` is ``DagRunType.SCHEDULED``; runs by a real scheduler are in tests/e2e."""

    SCHEDULED = "scheduled"
    BACKFILL = "backfill"
    MANUAL = "manual"
    ASSET_TRIGGERED = "asset_triggered"


@dataclass
class Run:
    run_type: str
    run_after: datetime
    data_interval_start: datetime | None = None
    data_interval_end: datetime | None = None


@pytest.mark.parametrize("run_type", [DagRunType.SCHEDULED, DagRunType.BACKFILL])
def test_a_scheduled_run_writes_its_own_interval_whatever_the_form_says(run_type: DagRunType) -> None:
    run = Run(run_type, NOON, NOON - timedelta(days=1), NOON)
    assert RunTimes.of(run).history(14) == Interval(NOON - timedelta(days=1), NOON)


@pytest.mark.parametrize("run_type", [DagRunType.MANUAL, DagRunType.ASSET_TRIGGERED])
def test_a_run_without_a_logical_date_writes_the_days_before_it_from_a_full_quarter_on(run_type: DagRunType) -> None:
    end = datetime(2026, 3, 5, 12, 0, tzinfo=UTC)
    assert RunTimes.of(Run(run_type, NOON)).history(14) == Interval(end - timedelta(days=14), end)


def test_a_run_by_hand_ignores_the_interval_that_airflow_made_up_for_it() -> None:
    run = Run(DagRunType.MANUAL, NOON, NOON - timedelta(days=1), NOON)
    assert RunTimes.of(run).history(2).start == datetime(2026, 3, 3, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("wanted", "as_of"),
    [
        (None, None),
        ("", None),
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-03-01T03:00:00+03:00", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-03-01T00:00:00Z", datetime(2026, 3, 1, tzinfo=UTC)),
    ],
)
def test_a_mart_is_loaded_as_of_the_parameter_or_else_of_its_own_clock(
    wanted: str | None, as_of: datetime | None
) -> None:
    assert time_of(wanted) == as_of


def test_a_time_that_is_none_is_refused_with_an_example() -> None:
    with pytest.raises(FormError) as caught:
        time_of("yesterday")
    assert "2026-01-31T00:00:00+00:00" in caught.value.hint


def test_tables_in_the_log_set_numbers_to_the_right() -> None:
    lines = lines_of(("part", "documents", "remark"), [("EventLogs", 12_345, ""), ("Shop", 7, "skipped")])
    assert lines == [
        "part       documents  remark",
        "---------  ---------  -------",
        "EventLogs     12,345",
        "Shop               7  skipped",
    ]


def test_a_password_may_be_in_a_file_and_empty_credentials_mean_none(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("p@ss:word/\n")
    found = connections(
        {
            "MONGO_DB_CONN_LOGIN": "",
            "MONGO_DB_CONN_PASSWORD": "",
            "POSTGRES_CONN_LOGIN": "loader",
            "POSTGRES_CONN_PASSWORD_FILE": str(file),
            "POSTGRES_CONN_EXTRA": '{"sslmode": "require"}',
        }
    )
    assert "login" not in found["mongo_db_conn"]
    assert found["mongo_db_conn"]["extra"] == {
        "srv": False,
        "ssl": False,
        "allow_insecure": False,
        "authSource": "admin",
    }
    assert found["postgres_conn"]["password"] == "p@ss:word/"
    assert found["postgres_conn"]["extra"] == {"sslmode": "require"}


def test_everything_that_is_wrong_is_said_at_once_and_without_values() -> None:
    with pytest.raises(VariablesError) as caught:
        connections({"MONGO_DB_CONN_LOGIN": "x", "MONGO_DB_CONN_PASSWORD": "", "POSTGRES_CONN_EXTRA": "secret{"})
    assert str(caught.value) == (
        "MONGO_DB_CONN_PASSWORD is missing; POSTGRES_CONN_EXTRA is no JSON object; "
        "POSTGRES_CONN_LOGIN is missing; POSTGRES_CONN_PASSWORD is missing"
    )


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"Repair": False}, "Did you mean repair?"),
        ({"repair": False, "allow-deletes": 1}, "Did you mean allow_deletes?"),
        ({"x": 1}, "The parameters are allow_deletes, repair."),
    ],
)
def test_a_parameter_that_does_not_exist_is_refused_by_name(given: dict[str, object], told: str) -> None:
    with pytest.raises(FormError, match="there is no parameter") as caught:
        require_known({"repair": True, "allow_deletes": 0.05}, given)
    assert caught.value.hint == told


@pytest.mark.parametrize("given", [None, {}, {"repair": False}])
def test_declared_parameters_and_none_at_all_are_taken(given: dict[str, object] | None) -> None:
    require_known({"repair": True}, given)


def test_hints_name_what_people_find_in_airflow() -> None:
    assert as_in_airflow("See WAREHOUSE_POSTGRES_DSN (host), or REPLICATOR_MONGO_URI_FILE.") == (
        "See the connection postgres_conn (Admin, Connections) (host), or the connection mongo_db_conn (Admin, "
        "Connections)."
    )
    assert as_in_airflow("REPLICATOR_POSTGRES_DSNS and --repairs stay") == "REPLICATOR_POSTGRES_DSNS and --repairs stay"
