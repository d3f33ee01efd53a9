"""A marker that may not cross is in no dump, log, answer or file of a service that was killed, whatever has happened.

It stands where an owner would hide something: in excluded and masked fields of sub-documents and arrays, as keys of
sub-documents there, in documents that PostgreSQL refuses, in events of more than 16 MB, in ``_id``, and in what marts
know people by. The service is a process, as an operator runs it; both paths are tried.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from psycopg import sql
from typer.testing import CliRunner

from devstack.binaries import find_postgres
from replicator_service.core.naming import schema_name
from tests.integration.test_privacy import POISON, assert_nowhere, dead_letter_keys, everything, marker, person, user
from tests.marts.shop import MAPPING as SHOP
from tests.support.doc_blocks import ROOT
from tests.support.processes import Operator, RunningService
from tests.support.waiting import wait_until
from warehouse_jobs.cli import main as warehouse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from devstack.postgres import PostgresServer
    from tests.support.databases import Sink, Source

__all__ = ["marker"]

pytestmark = pytest.mark.slow

RULES = {
    "users": {
        "exclude": ["secret", "profile.secret", "list.secret", "by_day.*.secret"],
        "mask": {
            "_id": "hmac",
            "email": "hmac",
            "contacts.mail": "hmac",
            "phone": {"keep_last": 2},
            "note": None,
            "plan": {"constant": "hidden"},
        },
    },
    "people": {
        "keep_bson": "always",
        "exclude": ["secret", "parts.secret"],
        "mask": {"_id": "hmac", "email": "hmac", "parts.mail": "hmac"},
        "columns": {"key": {"path": "_id", "type": "text"}, "email": "text", "age": "integer", "tags": "text[]"},
        "children": {"parts": {"columns": {"mail": "text", "size": "integer"}}},
    },
}
PEOPLE = {"user_id": "hmac", "ticket_id": "hmac"}
HIDDEN = {"query_text": None, "review_text": {"constant": "hidden"}}


def written_mapping(path: Path) -> Path:
    """Ours and the shop's, with all that names people hidden."""
    file = yaml.safe_load(SHOP.read_text(encoding="utf-8"))
    for collection in file["collections"].values():
        names = {
            str(column.get("path", name)) if isinstance(column, dict) else name: name
            for name, column in collection["columns"].items()
        }
        masks = {**PEOPLE, **HIDDEN}
        mask = {path: masks[name] for path, name in names.items() if name in masks}
        collection["mask"] = {"_id": "hmac", **mask}
    file["collections"]["SupportTickets"]["mask"]["messages.message"] = None
    file["collections"] |= RULES
    file["exclude"] = ["secrets", "audit_*"]
    path.write_text(yaml.safe_dump(file), encoding="utf-8")
    return path


def shop(source: Source, marker: str) -> None:
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    who = [f"{marker}{number}" for number in range(5)]
    db = source.db
    db.UserSessions.insert_many(
        [
            {
                "_id": each,
                "session_id": str(n),
                "user_id": each,
                "start_time": now,
                "end_time": now,
                "pages_visited": ["/"],
            }
            for n, each in enumerate(who)
        ]
    )
    db.EventLogs.insert_many(
        [
            {
                "_id": {"of": each},
                "event_id": str(n),
                "timestamp": now,
                "event_type": "order_placed",
                "details": {"user_id": each, "status": "ok"},
            }
            for n, each in enumerate(who)
        ]
    )
    db.SupportTickets.insert_many(
        [
            {
                "_id": each,
                "ticket_id": each,
                "user_id": each,
                "status": "open",
                "issue_type": "payment",
                "created_at": now,
                "messages": [{"sender": "user", "message": marker, "timestamp": now}],
            }
            for each in who
        ]
    )
    db.SearchQueries.insert_many(
        [
            {
                "_id": each,
                "query_id": str(n),
                "user_id": each,
                "query_text": [marker],
                "timestamp": now,
                "category": "books",
            }
            for n, each in enumerate(who)
        ]
    )


def named(document: dict[str, Any], marker: str) -> dict[str, Any]:
    """The same with the marker in its ``_id``."""
    return {**document, "_id": f"{marker}-{document['_id']}"}


def users(marker: str, *numbers: int, **more: Any) -> list[dict[str, Any]]:
    return [
        named(user(n, marker, by_day={"monday": {"secret": {marker: {marker: n}}, "n": 1}}, **more), marker)
        for n in numbers
    ]


def people(marker: str, *numbers: int, **more: Any) -> list[dict[str, Any]]:
    return [named(person(n, marker, **more), marker) for n in numbers]


@pytest.fixture
def operator(source: Source, sink: Sink, tmp_path: Path) -> Operator:
    key = tmp_path / "key"
    key.write_text("a key that is kept secret\n")
    key.chmod(0o600)
    directory = tmp_path / "service"
    directory.mkdir()
    return Operator(
        {
            "REPLICATOR_MONGO_URI": source.uri,
            "REPLICATOR_MONGO_DATABASE": source.name,
            "REPLICATOR_POSTGRES_DSN": sink.dsn,
            "REPLICATOR_MAPPING": str(written_mapping(tmp_path / "mapping.yml")),
            "REPLICATOR_MASK_KEY_FILE": str(key),
            "REPLICATOR_LOG_LEVEL": "debug",
            "REPLICATOR_CHUNK_ROWS": "40",
        },
        directory,
    )


@pytest.fixture
def marts(source: Source, tmp_path: Path) -> Path:
    """The shop's marts, of this database's schema."""
    directory = tmp_path / "marts"
    directory.mkdir()
    for each in (ROOT / "sql" / "marts").iterdir():
        text = each.read_text(encoding="utf-8").replace("origin.", f"{schema_name(source.name)}.")
        (directory / each.name).write_text(text, encoding="utf-8")
    return directory


@pytest.fixture(autouse=True)
def _with_core_files() -> Iterator[None]:
    """A process that is killed may leave one: nothing but the service itself prevents it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


def dump(sink: Sink, postgres_server: PostgresServer) -> str:
    """What ``pg_dump`` of the same release writes."""
    binaries = find_postgres(int(str(postgres_server.version).partition(".")[0]))
    program = binaries.bindir / "pg_dump"
    libraries = {} if binaries.libraries is None else {"LD_LIBRARY_PATH": str(binaries.libraries)}
    done = subprocess.run(
        [str(program), sink.dsn], env={**os.environ, **libraries}, capture_output=True, check=True, timeout=120
    )
    return done.stdout.decode("utf-8", "replace")


def caught_up(service: RunningService, source: Source) -> None:
    """Wait until the sink shows what has happened so far."""
    stamp = source.db.command("ping")["operationTime"]
    until = (stamp.time << 32) | stamp.inc
    source.client["marker_tests"]["clock"].insert_one({})

    def is_there() -> bool:
        status = service.status()
        return bool(status["state"] == "streaming" and (status["cluster_time"] or 0) >= until)

    wait_until(is_there, timeout=90.0, message="the sink to catch up")


def bytes_of(directory: Path) -> str:
    """All files below it, whatever they are."""
    return "\n".join(each.read_bytes().decode("latin-1") for each in sorted(directory.rglob("*")) if each.is_file())


@pytest.mark.parametrize("path", ["auto", "off"])
def test_a_marker_is_in_no_dump_log_answer_or_file(
    source: Source,
    sink: Sink,
    postgres_server: PostgresServer,
    operator: Operator,
    marts: Path,
    marker: str,
    path: str,
) -> None:
    operator.environ["REPLICATOR_COMPILED"] = path
    db = source.db
    told: list[str] = []

    def look(service: RunningService) -> None:
        told.extend(service.get(each)[1] for each in ("/status", "/metrics", "/", "/readyz?verbose"))
        assert_nowhere(marker, dump(sink, postgres_server), *told, service.log.read_text())

    def ask(*arguments: str, code: int = 0, **environ: str) -> str:
        done = operator.replicator(*arguments, **environ)
        assert done.exit_code == code, done.output
        told.append(done.output)
        return done.output

    db.users.insert_many(users(marker, *range(150)))
    db.people.insert_many(people(marker, *range(150)) + people(marker, 900, **POISON))
    db.secrets.insert_one({"_id": marker, "a": marker})
    shop(source, marker)
    # Killed in the middle of the first load, and then in the stream.
    with operator.running() as service:
        service.line("service started")
        wait_until(lambda: "snapshot_range" in everything(sink), message="the tables")
        assert service.end(signal.SIGABRT) == -signal.SIGABRT
    with operator.running() as service:
        caught_up(service, source)
        look(service)
        with sink.connect() as connection:
            statement = sql.SQL("alter table {} add constraint of_age check (age > 0) not valid")
            connection.execute(statement.format(sql.Identifier(schema_name(source.name), "people")))
        db.users.insert_many(users(marker, *range(200, 260)))
        db.users.update_many({"plan": [marker]}, {"$set": {"profile.secret": marker * 2, "seen": 1}})
        db.users.replace_one({"_id": f"{marker}-7"}, users(marker, 7, replaced=True)[0])
        db.users.delete_many({"_id": {"$in": [f"{marker}-8", f"{marker}-9"]}})
        db.people.insert_many(people(marker, 901, 902, **POISON))
        db.people.delete_one({"_id": f"{marker}-900"})
        db.secrets.update_many({}, {"$set": {"b": marker}})
        with source.client.start_session() as session, session.start_transaction():
            db.users.insert_many(users(marker, 300, 301), session=session)
            db.people.insert_many(people(marker, 903, **POISON), session=session)
            db["audit_2027"].insert_one({"c": marker}, session=session)
        large = "x" * (16 * 2**20 - 300_000)
        db.users.insert_one(users(marker, 302, secret=marker + large)[0])
        db.people.insert_one(people(marker, 303, secret=large + marker)[0])
        db.secrets.insert_one({"_id": f"{marker}2", "a": marker + large})
        caught_up(service, source)
        look(service)
        db.users.update_many({}, {"$set": {"list.0.secret": marker, "again": 1}})
        assert service.end(signal.SIGQUIT) == -signal.SIGQUIT
    with operator.running() as service:
        db.users.aggregate([{"$match": {"replaced": {"$exists": False}}}, {"$out": "users"}])
        db.people.aggregate([{"$addFields": {"out": 1}}, {"$out": "people"}])
        caught_up(service, source)
        look(service)
        db.people.rename("persons")
        db.persons.insert_one(people(marker, 400)[0])
        db.persons.rename("people")
        caught_up(service, source)
        dead_letters = dead_letter_keys(sink)
        assert dead_letters
        shown = json.loads(ask("dead-letters", "list", "--json"))["dead_letters"]
        ask("dead-letters", "show", str(shown[0]["id"]))
        ask("dead-letters", "retry", "--all")
        for name in ("users", "people"):
            ask("resync", name)
        with sink.connect() as connection:
            query = "select count(*) from replicator.request where handled_at is null"
            wait_until(lambda: connection.execute(query).fetchone() == (0,), message="the requests")
        caught_up(service, source)
        look(service)
        with sink.connect() as connection:
            for text in ("delete from {} where _id < '4'", "update {} set age = 7 where _id > '4' and _id < '9'"):
                table = sql.Identifier(schema_name(source.name), "people")
                connection.execute(sql.SQL(text).format(table))
        ask("reconcile", code=1)
        ask("reconcile", "--repair", code=1)
        result = json.loads(ask("reconcile", "--deep", "--json", code=1))
        told.append(str(result))
        assert result["differences"] == dead_letter_keys(sink)
        done = CliRunner().invoke(
            warehouse,
            ["marts", "load", "--json"],
            env={"WAREHOUSE_POSTGRES_DSN": sink.dsn, "MART_DIRECTORY": str(marts), "MART_MONGO_DATABASE": source.name},
        )
        told.append(done.output)
        assert done.exit_code == 0, done.output
        with sink.connect() as connection:
            assert connection.execute("select count(*), min(orders_cnt) from mart.user_activity").fetchone() == (5, 1)
        for arguments in (("status",), ("check",), ("config", "show"), ("mapping", "drift")):
            done = operator.replicator(*arguments, REPLICATOR_HTTP_PORT=service.url.rsplit(":", 1)[1].strip("/"))
            told.append(done.output)
        db.people.delete_one({"_id": f"{marker}-3"})
        caught_up(service, source)
        ask("erase", "people", f"{marker}-3", "--json")
        look(service)
        assert service.end(signal.SIGABRT) == -signal.SIGABRT
    assert db.users.find_one({"_id": {"$regex": marker}}) is not None
    assert_nowhere(marker, dump(sink, postgres_server), everything(sink), *told, bytes_of(operator.directory))
    assert not [each.name for each in operator.directory.rglob("core*")]
