"""What a server cannot do is found by trying, told with what follows, and refused where it cannot be exact."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from replicator_service.core.abilities import MEANINGS, Ability
from replicator_service.core.errors import ConfigurationError
from tests.support.processes import Operator
from tests.support.wire import Command, WireServer, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from devstack.mongo import MongoReplicaSet
    from tests.support.databases import Sink, Source

pytestmark = pytest.mark.slow

Refusing = tuple["Callable[[Command], bool]", dict[str, Any]]


def _stream(command: Command) -> dict[str, Any]:
    stages = command.get("pipeline") or [{}]
    found: dict[str, Any] = stages[0].get("$changeStream") or {}
    return found


def _stages(command: Command) -> set[str]:
    return {name for stage in command.get("pipeline", ()) for name in stage}


UNKNOWN_FIELD = refusal(40415, "IDLUnknownField")

# What servers say that do not know these: by the manual of each version, and seen with 5.0.
REFUSED: dict[Ability, Refusing] = {
    Ability.SNAPSHOT_READS: (
        lambda command: "atClusterTime" in command.get("readConcern", {}),
        refusal(72, "InvalidOptions"),
    ),
    Ability.SNAPSHOT_HISTORY: (
        lambda command: "getParameter" in command,
        {"minSnapshotHistoryWindowInSeconds": 0, "ok": 1.0},
    ),
    Ability.COLLECTION_UUID: (lambda command: "find" in command and "collectionUUID" in command, UNKNOWN_FIELD),
    Ability.START_AFTER: (lambda command: "startAfter" in _stream(command), UNKNOWN_FIELD),
    Ability.EXPANDED_EVENTS: (lambda command: "showExpandedEvents" in _stream(command), UNKNOWN_FIELD),
    Ability.SPLIT_EVENTS: (
        lambda command: "$changeStreamSplitLargeEvent" in _stages(command),
        refusal(40324, "Location40324"),
    ),
    Ability.OPLOG_HISTORY: (lambda command: command.get("find") == "oplog.rs", refusal(13, "Unauthorized")),
    Ability.FILTERED_LISTS: (
        lambda command: "listCollections" in command and bool(command.get("filter")),
        refusal(303, "FeatureNotSupported"),
    ),
    Ability.NAME_LISTS: (
        lambda command: command.get("nameOnly") is True and "authorizedCollections" not in command,
        UNKNOWN_FIELD,
    ),
    Ability.AUTHORIZED_LISTS: (lambda command: "authorizedCollections" in command, UNKNOWN_FIELD),
}
INEXACT = [Ability.SNAPSHOT_READS, Ability.SNAPSHOT_HISTORY]


@pytest.fixture
def operator(source: Source, sink: Sink, tmp_path: Path) -> Operator:
    source.db.things.insert_many([{"_id": n, "n": 0} for n in range(50)])
    environ = {
        "REPLICATOR_MONGO_DATABASE": source.name,
        "REPLICATOR_POSTGRES_DSN": sink.dsn,
        "REPLICATOR_HTTP_PORT": "0",
    }
    return Operator(environ, tmp_path)


@pytest.fixture
def server(request: pytest.FixtureRequest, mongo_server: MongoReplicaSet) -> Iterator[WireServer]:
    """The real server without one ability."""
    is_refused, answer = REFUSED[request.param]
    with WireServer(lambda command: answer if is_refused(command) else None, target_port=mongo_server.port) as wire:
        yield wire


def lacking(*abilities: Ability) -> pytest.MarkDecorator:
    cases = [(ability, ability) for ability in abilities]
    ids = [ability.value for ability in abilities]
    return pytest.mark.parametrize(("server", "ability"), cases, ids=ids, indirect=["server"])


def check_line(operator: Operator, name: str, **environ: str) -> tuple[int, dict[str, Any]]:
    done = operator.replicator("check", "--json", **environ)
    told = json.loads(done.stdout)
    return done.exit_code, next(each for each in told["checks"] if each["name"] == name)


@lacking(*INEXACT)
def test_a_server_that_cannot_be_replicated_from_exactly_is_refused_within_one_start(
    operator: Operator, sink: Sink, server: WireServer, ability: Ability
) -> None:
    done = operator.run_to_its_end(REPLICATOR_MONGO_URI=server.uri)
    assert done.returncode == ConfigurationError.exit_code
    lines = [json.loads(line) for line in (done.stdout + done.stderr).splitlines()]
    (line,) = [each for each in lines if each["level"] == "error"]
    assert "cannot be replicated from exactly" in line["cause"]
    assert "REPLICATOR_ACCEPT_INEXACT=true" in line["hint"]
    code, told = check_line(operator, MEANINGS[ability].check, REPLICATOR_MONGO_URI=server.uri)
    assert code == ConfigurationError.exit_code
    assert told["level"] == "fail"
    assert "REPLICATOR_ACCEPT_INEXACT=true" in told["fix"]
    with sink.connect() as connection:
        (tables,) = connection.execute("select count(*) from pg_tables where tablename = 'things'").fetchone() or (
            None,
        )
    assert tables == 0


@lacking(*INEXACT)
def test_what_is_accepted_is_said_as_long_as_it_is_so(
    operator: Operator, source: Source, server: WireServer, ability: Ability
) -> None:
    accepted = {"REPLICATOR_MONGO_URI": server.uri, "REPLICATOR_ACCEPT_INEXACT": "true"}
    for _ in range(2):
        with operator.running(**accepted) as service:
            status = service.wait_for_state("streaming", "converging")
            source.db.things.update_many({}, {"$inc": {"n": 1}})
            assert status["guarantee"].startswith("exact, except rows that are newer than the checkpoint")
            assert status["abilities"][ability.value]["available"] is False
            (notice,) = [each for each in status["notices"] if each["subject"] == "inexact"]
            assert notice["hint"]
            metrics = service.get("/metrics")[1]
            assert re.search(r"^replicator_inexact\{.*\} 1\.0$", metrics, re.MULTILINE)
            assert re.search(rf'^replicator_ability{{ability="{ability}".*\}} 0\.0$', metrics, re.MULTILINE)


@lacking(*[each for each in Ability if each not in INEXACT])
def test_what_only_costs_something_is_told_and_everything_is_exact(
    operator: Operator, source: Source, server: WireServer, ability: Ability
) -> None:
    with operator.running(REPLICATOR_MONGO_URI=server.uri) as service:
        service.wait_for_state("streaming")
        source.db.things.update_many({}, {"$inc": {"n": 1}})
        source.db.more.insert_one({"_id": 1})
        status = service.wait_for_state("streaming")
        assert status["guarantee"] == "exact"
        told = status["abilities"].pop(ability.value)
        assert told["available"] is False
        assert told["detail"]
        assert told["without"]
        assert all(each["available"] for each in status["abilities"].values())
        code, line = check_line(operator, MEANINGS[ability].check, REPLICATOR_MONGO_URI=server.uri)
        assert (code, line["level"]) == (0, "warn")
        found = operator.replicator("reconcile", REPLICATOR_MONGO_URI=server.uri)
        assert found.exit_code == 0, found.output
