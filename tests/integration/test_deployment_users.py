"""The service, the generator, the reconciliation and the marts with exactly the users that a deployment has."""

from __future__ import annotations

import json
import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from pymongo.errors import OperationFailure

from replicator_service.configuration.mapping_file import read_mapping
from replicator_service.configuration.settings import Settings
from replicator_service.reconcile import Options, RunState, reconcile
from tests.support.deployment import ROOT, SECRETS, Destination, MongoOrigin, mongo_origin, postgres_destination
from tests.support.processes import Operator, RunningService
from tests.support.waiting import wait_until
from warehouse_jobs.generator.job import generate
from warehouse_jobs.generator.parameters import Interval, Parameters
from warehouse_jobs.generator.server import MongoSettings
from warehouse_jobs.marts.install import install
from warehouse_jobs.marts.loader import load

if TYPE_CHECKING:
    from collections.abc import Iterator

MAPPING = ROOT / "mappings" / "shop.yml"
AIRFLOW_IN_MONGO = ("airflow", SECRETS["MONGO_DB_CONN_PASSWORD"])
AIRFLOW = ("airflow", SECRETS["POSTGRES_CONN_PASSWORD"])
ANALYST = ("analyst", SECRETS["POSTGRES_ANALYST_PASSWORD"])
DAYS = Interval.of_days(datetime(2026, 3, 2, tzinfo=UTC), 2)
SHOP = Parameters.in_total(600, DAYS)


@pytest.fixture(scope="module")
def mongo() -> Iterator[MongoOrigin]:
    with mongo_origin() as server:
        done = server.initialise()
        assert done.returncode == 0, done.stderr
        yield server


@pytest.fixture(scope="module")
def postgres() -> Iterator[Destination]:
    with postgres_destination() as server:
        done = server.apply_roles()
        assert done.returncode == 0, done.stderr
        yield server


@pytest.fixture(scope="module")
def operator(mongo: MongoOrigin, postgres: Destination, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    """Somebody with the environment of the service's container."""
    environ = {
        "REPLICATOR_MONGO_URI": mongo.uri("replicator", SECRETS["MONGO_REPLICATOR_PASSWORD"]),
        "REPLICATOR_MONGO_DATABASE": "origin",
        "REPLICATOR_POSTGRES_DSN": postgres.dsn("replicator", SECRETS["POSTGRES_REPLICATOR_PASSWORD"]),
        "REPLICATOR_MAPPING": str(MAPPING),
    }
    return Operator(environ, tmp_path_factory.mktemp("service"))


@pytest.fixture(scope="module")
def first_check(operator: Operator) -> dict[str, tuple[str, str]]:
    """What `replicator check` says before the first start."""
    return checked(operator)


@pytest.fixture(scope="module")
def service(mongo: MongoOrigin, operator: Operator, first_check: dict[str, Any]) -> Iterator[RunningService]:
    """The running service, with a shop that Airflow's user has written and that it has caught up with."""
    assert first_check
    generate(MongoSettings(mongo.uri(*AIRFLOW_IN_MONGO), "origin"), SHOP, DAYS)
    with operator.running() as running:
        running.wait_for_state("streaming")
        yield running


def airflow_settings(mongo: MongoOrigin, postgres: Destination) -> Settings:
    values = {
        "mongo_uri": mongo.uri(*AIRFLOW_IN_MONGO),
        "mongo_database": "origin",
        "postgres_dsn": postgres.dsn(*AIRFLOW),
        "mapping": MAPPING,
    }
    return Settings.model_validate(values)


def reconciled(settings: Settings, *, repair: bool) -> Any:
    return reconcile(
        settings, read_mapping(MAPPING), options=Options(repair=repair, timeout_seconds=20.0, allow_deletes=1.0)
    )


def checked(operator: Operator) -> dict[str, tuple[str, str]]:
    done = operator.replicator("check", "--json")
    findings = json.loads(done.stdout)["checks"]
    return {each["name"]: (each["level"], each["cause"]) for each in findings}


def test_every_check_is_green_before_the_first_start(first_check: dict[str, tuple[str, str]]) -> None:
    assert len(first_check) > 30
    # What would be in the control tables cannot be asked yet, and nothing has been generated yet.
    assert {name for name, told in first_check.items() if told[0] not in {"ok", "skip"}} == {"mongodb database"}
    assert first_check["mongodb database"][0] == "warn"


def test_every_check_is_green_while_the_service_runs(operator: Operator, service: RunningService) -> None:
    wait_until(lambda: service.status()["state"] == "streaming", message="what another test has asked for to end")
    assert {name: told for name, told in checked(operator).items() if told[0] != "ok"} == {}


def test_the_oplog_headroom_is_known(service: RunningService) -> None:
    found = wait_until(lambda: service.status()["oplog_headroom_seconds"], message="the headroom")
    assert found > 0


def test_airflow_proves_that_both_sides_are_equal(
    mongo: MongoOrigin, postgres: Destination, service: RunningService
) -> None:
    del service
    result = reconciled(airflow_settings(mongo, postgres), repair=False)
    assert (result.state, result.differences, result.error) == (RunState.FINISHED, 0, None)
    assert result.documents > 300


def test_airflow_repairs_tables_of_the_service(
    mongo: MongoOrigin, postgres: Destination, service: RunningService
) -> None:
    del service
    with postgres.as_administrator() as connection:
        connection.execute("update origin.user_sessions set device_type = 'corrupt'")
        connection.execute("delete from origin.support_ticket_messages")
        connection.execute("insert into origin.event_logs (_id, etl_valid_from) values ('planted', now())")
    settings = airflow_settings(mongo, postgres)
    repaired = reconciled(settings, repair=True)
    assert repaired.error is None
    assert repaired.repaired == repaired.differences > 2
    assert reconciled(settings, repair=False).differences == 0


def test_the_marts_are_loaded_by_airflow_and_read_by_analysts(postgres: Destination, service: RunningService) -> None:
    wait_until(lambda: service.status()["state"] == "streaming", message="what another test has asked for to end")
    dsn = postgres.dsn(*AIRFLOW)
    installed = install(dsn)
    assert (installed.changed, installed.warning) == (False, ""), "the roles have made the path already"
    for mart in ("user_activity", "support_efficiency"):
        assert load(dsn, mart, datetime(2026, 3, 5, tzinfo=UTC)).rows > 0
    with postgres.connected(*ANALYST) as connection:
        for query in (
            "select user_id, sessions_cnt from user_activity limit 1",
            "select ticket_id from support_efficiency limit 1",
            "select user_id from mart.user_activity_history limit 1",
            "select session_id from user_sessions limit 1",
        ):
            assert connection.execute(query.encode()).fetchall(), query
    with postgres.connected("replicator", SECRETS["POSTGRES_REPLICATOR_PASSWORD"]) as connection:
        assert connection.execute("select max(loaded_at) from mart.load_run").fetchone() != (None,)


def test_a_resync_keeps_the_analysts_reading(
    operator: Operator, postgres: Destination, service: RunningService
) -> None:
    done = operator.replicator("resync", "UserSessions")
    assert done.exit_code == 0, done.output
    wait_until(lambda: service.status()["state"] == "streaming", timeout=30, message="the resync to end")
    with postgres.connected(*ANALYST) as connection:
        assert connection.execute("select session_id from user_sessions limit 1").fetchall()


def test_setting_up_again_does_not_disturb_the_service(
    mongo: MongoOrigin, postgres: Destination, service: RunningService
) -> None:
    with ThreadPoolExecutor(2) as threads:
        again = [threads.submit(mongo.initialise), threads.submit(postgres.apply_roles)]
        assert [each.result().returncode for each in again] == [0, 0]
    generate(MongoSettings(mongo.uri(*AIRFLOW_IN_MONGO), "origin"), Parameters.in_total(50, DAYS, seed=2), DAYS)
    with mongo.client(*AIRFLOW_IN_MONGO) as client:
        client["origin"]["EventLogs"].insert_one({"_id": "after-setting-up-again"})

    def arrived() -> bool:
        with postgres.connected(*ANALYST) as connection:
            rows = connection.execute("select from origin.event_logs where _id = 'after-setting-up-again'")
            return rows.rowcount == 1

    wait_until(arrived, timeout=20, message="a document that was written afterwards")
    assert not [line for line in service.lines() if line["level"] == "error"]


@pytest.mark.parametrize(
    ("user", "database", "command"),
    [
        ("replicator", "origin", {"insert": "EventLogs", "documents": [{}]}),
        ("replicator", "origin", {"drop": "EventLogs"}),
        ("replicator", "other", {"find": "anything"}),
        ("replicator", "admin", {"find": "system.users"}),
        ("replicator", "local", {"find": "startup_log"}),
        ("replicator", "admin", {"replSetStepDown": 1}),
        ("airflow", "other", {"insert": "anything", "documents": [{}]}),
        ("airflow", "other", {"dropDatabase": 1}),
        ("airflow", "admin", {"createUser": "mine", "pwd": "mine", "roles": []}),
        ("airflow", "admin", {"shutdown": 1}),
        (None, "origin", {"find": "EventLogs"}),
        (None, "admin", {"createUser": "mine", "pwd": "mine", "roles": ["root"]}),
    ],
)
def test_what_is_nobodys_business_is_refused_by_mongodb(
    mongo: MongoOrigin, user: str | None, database: str, command: dict[str, Any]
) -> None:
    passwords = {"replicator": SECRETS["MONGO_REPLICATOR_PASSWORD"], "airflow": SECRETS["MONGO_DB_CONN_PASSWORD"]}
    opened = mongo.nobody() if user is None else mongo.client(user, passwords[user])
    with opened as client, pytest.raises(OperationFailure) as refused:
        client[database].command(command)
    assert refused.value.code == 13


def test_the_service_ends_well(operator: Operator, service: RunningService) -> None:
    del service
    with operator.running() as standby:
        standby.wait_for_state("standby")
        assert standby.end(signal.SIGTERM) == 0
