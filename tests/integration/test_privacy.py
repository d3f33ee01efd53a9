"""What may not cross is nowhere: not in a table, a dead letter, a log, an answer; whatever happens on the way."""

from __future__ import annotations

import json
import random
import re
import signal
import string
from typing import TYPE_CHECKING, Any

import pytest
from psycopg import sql
from pydantic import SecretStr

from replicator_service.core.errors import ConfigurationError, ResyncRequired
from replicator_service.core.failpoints import Window
from replicator_service.core.mapping.loader import load_mapping
from replicator_service.core.naming import schema_name
from replicator_service.reconcile.run import reconcile
from replicator_service.sink.control.requests import add_request
from tests.support.processes import Operator
from tests.support.replication import Replication, replicating, rows_of
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from replicator_service.core.mapping.model import Mapping
    from tests.support.databases import Sink, Source

MAPPING = """\
version: 1
exclude: [secrets, "audit_*"]
collections:
  users:
    exclude: [secret, profile.secret, list.secret, "by_day.*.secret"]
    mask: {email: hmac, contacts.mail: hmac, phone: {keep_last: 2}, note: null, plan: {constant: hidden}}
  people:
    keep_bson: always
    exclude: [secret, parts.secret]
    mask: {email: hmac, parts.mail: hmac}
    columns: {email: text, age: integer, "tags": "text[]"}
    children:
      parts:
        columns: {mail: text, size: integer}
"""
KEY: dict[str, Any] = {"mask_key": SecretStr("a key that is kept secret")}


def mapping(text: str = MAPPING) -> Mapping:
    return load_mapping(text, name="mapping")


@pytest.fixture
def marker() -> str:
    return "".join(random.SystemRandom().choices(string.ascii_lowercase, k=40))


def user(number: int, marker: str, **more: Any) -> dict[str, Any]:
    return {
        "_id": number,
        "email": f"{marker}@example.com",
        "phone": f"{marker}{number % 90 + 10}",
        "note": {marker: [marker]},
        "plan": [marker],
        "secret": {"deep": [{marker: marker}]},
        "profile": {"name": "kept", "secret": marker},
        "list": [{"secret": marker, "n": 1}, [{"secret": [marker], "n": 2}], "kept"],
        "contacts": [{"mail": marker}, [{"mail": [marker, {"x": marker}]}]],
        "by_day": {"monday": {"secret": marker, "n": 1}},
        **more,
    }


def person(number: int, marker: str, **more: Any) -> dict[str, Any]:
    return {
        "_id": number,
        "email": f"{marker}@example.com",
        "secret": marker,
        "age": 5,
        "tags": ["a"],
        "parts": [{"mail": marker, "size": 1, "secret": marker}, {"mail": {"x": marker}, "size": "none"}],
        **more,
    }


POISON = {"age": -1, "more": "\0"}
"""What PostgreSQL refuses once :func:`refuse_poison` has been called, and what makes it keep the bytes."""


def refuse_poison(sink: Sink, source: Source) -> None:
    with sink.connect() as connection:
        statement = sql.SQL("alter table {} add constraint of_age check (age > 0) not valid")
        connection.execute(statement.format(sql.Identifier(source.name, "people")))


def everything(sink: Sink) -> str:
    """All rows of all tables as text."""
    with sink.connect() as connection:
        names = connection.execute(
            "select format('%I.%I', schemaname, tablename) from pg_tables "
            "where schemaname not like 'pg\\_%' and schemaname <> 'information_schema'"
        ).fetchall()
        found = []
        for (name,) in names:
            found.append(name)
            found += [str(row) for (row,) in connection.execute(f"select t::text from {name} as t")]  # noqa: S608 - names of ours
    return "\n".join(found)


def assert_nowhere(marker: str, *texts: str) -> None:
    for each in texts:
        # A resume token is hexadecimal, in capitals.
        text = each.lower()
        for form in (marker, marker.encode().hex(), marker[:20], marker[20:].encode().hex()):
            assert form not in text


def table(sink: Sink, source: Source, name: str, *columns: str) -> list[tuple[Any, ...]]:
    with sink.connect() as connection:
        return rows_of(connection, source, name, columns)


def tables(sink: Sink, source: Source) -> set[str]:
    with sink.connect() as connection:
        query = "select tablename from pg_tables where schemaname = %s"
        return {name for (name,) in connection.execute(query, (schema_name(source.name),))}


def reconciled(replication: Replication) -> int:
    result = reconcile(replication.settings, replication.mapping, helpers=0)
    return sum(part.differences for part in result.parts)


def dead_letter_keys(sink: Sink) -> int:
    with sink.connect() as connection:
        row = connection.execute("select count(*) from replicator.dead_letter").fetchone()
    return 0 if row is None else int(row[0])


def test_a_marker_is_nowhere_after_everything_that_can_happen(source: Source, sink: Sink, marker: str) -> None:
    db = source.db
    db.users.insert_many([user(number, marker) for number in range(50)])
    db.people.insert_many([person(number, marker) for number in range(50)] + [person(99, marker, **POISON)])
    db.secrets.insert_one({"a": marker})
    db["audit_2026"].insert_one({"a": marker})
    with replicating(source, sink, mapping(), **KEY) as replication:
        replication.catch_up()
        assert_nowhere(marker, everything(sink))
        refuse_poison(sink, source)
        # Every way in which the stream brings documents.
        db.users.insert_many([user(number, marker) for number in range(100, 120)])
        db.users.update_many({"_id": {"$lt": 10}}, {"$set": {"profile.secret": marker + marker, "seen": 1}})
        db.users.replace_one({"_id": 11}, user(11, marker, replaced=True))
        db.users.delete_one({"_id": 12})
        db.secrets.insert_one({"a": marker})
        db.secrets.update_many({}, {"$set": {"b": marker}})
        with source.client.start_session() as session, session.start_transaction():
            db.secrets.insert_one({"c": marker}, session=session)
            db.users.insert_one(user(200, marker), session=session)
            db.people.insert_one(person(200, marker, **POISON), session=session)
            db["audit_2027"].insert_one({"c": marker}, session=session)
        replication.catch_up()
        assert_nowhere(marker, everything(sink))
        # A crash in the middle, an event over 16 MB, and collections that are replaced.
        replication.failpoints.arm(Window.AFTER_ROWS, 1)
        db.users.update_many({}, {"$set": {"list.0.secret": marker, "again": 1}})
        replication.catch_up()
        large = "x" * (16 * 2**20 - 200_000)
        db.users.insert_one(user(300, marker, secret=marker + large))
        db.people.insert_one(person(300, marker, secret=large + marker))
        db.secrets.insert_one({"a": marker + large})
        replication.catch_up()
        db.users.aggregate([{"$match": {"_id": {"$lt": 20}}}, {"$out": "users"}])
        replication.catch_up()
        db.people.aggregate([{"$addFields": {"out": 1}}, {"$out": "people"}])
        db.users_new.insert_one({"harmless": 1})
        replication.catch_up()
        db.users_new.drop()
        db.people.rename("persons")
        replication.catch_up()
        db.persons.insert_one(person(400, marker))
        replication.catch_up()
        db.persons.rename("people")
        db.secrets.rename("audit_secrets")
        replication.catch_up()
        with sink.connect() as connection:
            add_request(connection, source.name, "resync", "people")
            add_request(connection, source.name, "resync", "users")
            query = "select count(*), count(handled_at) from replicator.request"
            wait_until(lambda: connection.execute(query).fetchone() == (2, 2), message="the resyncs to begin")
        assert reconciled(replication) == dead_letter_keys(sink) > 0
        assert_nowhere(marker, everything(sink), str(replication.log.lines), str(replication.health.report()))
        assert not {"secrets", "audit_2026", "audit_2027", "audit_secrets"} & tables(sink, source)
        (first,) = [row for row in table(sink, source, "users", "_id", "doc") if row[0] == "$number:1"]
        document = json.loads(first[1])
        assert document["list"] == [{"n": 1}, [{"n": 2}], "kept"]
        assert (document["phone"], document["note"], document["plan"]) == ("***11", None, "hidden")
        assert document["by_day"] == {"monday": {"n": 1}}
        (email,) = {row[1] for row in table(sink, source, "people", "_id", "email")}
        assert email == document["email"]
        assert len(table(sink, source, "people", "_id")) == db.people.count_documents({}) - dead_letter_keys(sink)


def test_a_process_shows_a_marker_in_no_log_no_answer_and_no_metric(
    source: Source, sink: Sink, marker: str, tmp_path: Path
) -> None:
    file, key = tmp_path / "mapping.yml", tmp_path / "key"
    file.write_text(MAPPING)
    key.write_text("a key that is kept secret\n")
    key.chmod(0o600)
    operator = Operator(
        {
            "REPLICATOR_MONGO_URI": source.uri,
            "REPLICATOR_MONGO_DATABASE": source.name,
            "REPLICATOR_POSTGRES_DSN": sink.dsn,
            "REPLICATOR_MAPPING": str(file),
            "REPLICATOR_MASK_KEY_FILE": str(key),
            "REPLICATOR_LOG_LEVEL": "debug",
        },
        tmp_path,
    )
    source.db.users.insert_many([user(number, marker) for number in range(20)])
    source.db.people.insert_many([person(1, marker), person(2, marker, **POISON)])
    source.db.secrets.insert_one({"a": marker})
    with operator.running() as service:
        service.wait_for_state("streaming")
        refuse_poison(sink, source)
        source.db.people.insert_one(person(3, marker, **POISON))
        wait_until(lambda: service.status()["dead_letters"], message="the dead letter")
        answers = [service.get(path)[1] for path in ("/status", "/metrics", "/", "/readyz?verbose")]
        dead_letters = operator.replicator("dead-letters", "list", "--json").output
        dead_letters += operator.replicator(
            "dead-letters", "show", str(json.loads(dead_letters)["dead_letters"][0]["id"])
        ).output
        shown = operator.replicator("config", "show").output
        status = operator.replicator("status", REPLICATOR_HTTP_PORT=service.url.rsplit(":", 1)[1].strip("/")).output
        assert service.end(signal.SIGKILL) == -signal.SIGKILL
        assert_nowhere(marker, *answers, dead_letters, status, service.log.read_text())
        assert "kept secret" not in "".join((*answers, shown, service.log.read_text()))
    reconciliation = operator.replicator("reconcile")
    assert reconciliation.exit_code == 1
    assert_nowhere(marker, reconciliation.output)
    assert_nowhere(marker, everything(sink))


def test_a_change_of_rules_reads_these_collections_again_and_the_old_values_are_gone(
    source: Source, sink: Sink, marker: str
) -> None:
    before = """\
version: 1
collections:
  people:
    columns: {secret: text, age: integer}
    children: {parts: {columns: {mail: text, size: integer}}}
"""
    after = """\
version: 1
exclude: [secrets]
collections:
  people:
    exclude: [secret, email]
    mask: {parts.mail: hmac, parts.secret: null}
    columns: {age: integer}
    children: {parts: {columns: {mail: text, size: integer}}}
"""
    source.db.people.insert_many([person(number, marker) for number in range(30)] + [person(31, marker, more="\0")])
    source.db.secrets.insert_one({"a": marker})
    source.db.others.insert_one({"a": 1})
    with replicating(source, sink, mapping(before)) as replication:
        replication.catch_up()
        refuse_poison(sink, source)
        source.db.people.insert_one(person(32, marker, **POISON))
        replication.catch_up()
    assert marker in everything(sink)
    assert "secrets" in tables(sink, source)
    others = table(sink, source, "others", "xmin", "doc")
    with replicating(source, sink, mapping(after), **KEY) as replication:
        replication.catch_up()
        assert reconciled(replication) == dead_letter_keys(sink) > 0
    assert_nowhere(marker, everything(sink))
    assert "secrets" not in tables(sink, source)
    assert table(sink, source, "others", "xmin", "doc") == others
    assert len(table(sink, source, "people", "_id")) == 31


def test_a_lost_key_stops_and_another_one_asks_for_a_resync(source: Source, sink: Sink) -> None:
    source.db.users.insert_one({"_id": 1, "email": "a@example.com"})
    with replicating(source, sink, mapping(), **KEY) as replication:
        replication.catch_up()
    (before,) = table(sink, source, "users", "doc")
    with pytest.raises(ConfigurationError, match="there is no key"):
        Replication(source, sink, mapping()).start()
    other: dict[str, Any] = {"mask_key": SecretStr("another key that is kept secret")}
    replication = Replication(source, sink, mapping(), **other)
    replication.start()
    error = replication.join()
    assert isinstance(error, ResyncRequired)
    assert "resync --all" in error.hint
    with pytest.raises(ConfigurationError, match="not the one that the rows were written with"):
        reconcile(replication.settings, replication.mapping, helpers=0)
    with sink.connect() as connection:
        add_request(connection, source.name, "resync", None)
    with replicating(source, sink, mapping(), **other) as replication:
        wait_until(lambda: table(sink, source, "users", "doc") != [before], message="the row masked anew")
        replication.catch_up()
        assert reconciled(replication) == 0


def test_a_collection_with_rules_that_gets_a_name_without_waits_for_a_person(
    source: Source, sink: Sink, marker: str
) -> None:
    source.db.users.insert_one(user(1, marker))
    with replicating(source, sink, mapping(), **KEY) as replication:
        replication.catch_up()
        source.db.users.rename("former_users")
        source.db.former_users.insert_one(user(2, marker))
        replication.catch_up()
        assert_nowhere(marker, everything(sink))
        assert table(sink, source, "former_users", "_id") == []
        with sink.connect() as connection:
            states = dict(connection.execute("select collection, state from replicator.collection").fetchall())
    assert states["former_users"] == "paused"


def test_excluded_fields_do_not_leave_mongodb(source: Source, sink: Sink, marker: str) -> None:
    """A profiler of the server sees what it was asked for."""
    source.db.users.insert_many([user(number, marker) for number in range(3)])
    source.db.command("profile", 2)
    with replicating(source, sink, mapping(), **KEY) as replication:
        replication.catch_up()
        source.db.users.update_one({"_id": 1}, {"$set": {"seen": 1}})
        replication.catch_up()
    source.db.command("profile", 0)
    asked = [
        each["command"]
        for each in source.db["system.profile"].find({"op": "query", "command.find": "users"})
        if each["command"].get("projection") != {"_id": 1}
    ]
    assert len(asked) >= 2
    for command in asked:
        assert command["projection"] == {"secret": 0, "profile.secret": 0, "list.secret": 0}


@pytest.mark.parametrize(
    ("content", "mode", "message"),
    [
        ("", 0o600, "is empty"),
        ("short", 0o600, "fewer than 16 characters"),
        ("a key that is kept secret", 0o644, "can be read by every user"),
        (None, 0, "cannot be read"),
    ],
)
def test_a_key_file_that_will_not_do_is_one_clear_line(
    content: str | None, mode: int, message: str, source: Source, sink: Sink, tmp_path: Path
) -> None:
    key, file = tmp_path / "key", tmp_path / "mapping.yml"
    file.write_text(MAPPING)
    if content is not None:
        key.write_text(content)
        key.chmod(mode)
    operator = Operator(
        {
            "REPLICATOR_MONGO_URI": source.uri,
            "REPLICATOR_MONGO_DATABASE": source.name,
            "REPLICATOR_POSTGRES_DSN": sink.dsn,
            "REPLICATOR_MAPPING": str(file),
            "REPLICATOR_MASK_KEY_FILE": str(key),
        },
        tmp_path,
    )
    ended = operator.run_to_its_end()
    assert ended.returncode == 2
    assert message in ended.stdout + ended.stderr


def test_check_warns_of_what_looks_personal_and_of_rules_that_meet_nothing(
    source: Source, sink: Sink, tmp_path: Path
) -> None:
    source.db.users.insert_many(
        [{"_id": n, "email": "a@example.com", "phone": "+49 170 1234567", "tags": [] if n else "x"} for n in range(3)]
    )
    source.db.secrets.insert_one({"mail": "a@example.com"})
    file = tmp_path / "mapping.yml"
    operator = Operator(
        {
            "REPLICATOR_MONGO_URI": source.uri,
            "REPLICATOR_MONGO_DATABASE": source.name,
            "REPLICATOR_POSTGRES_DSN": sink.dsn,
            "REPLICATOR_MAPPING": str(file),
        },
        tmp_path,
    )

    def lines() -> dict[str, dict[str, Any]]:
        return {each["name"]: each for each in operator.answer("check")["checks"]}

    file.write_text("version: 1\nexclude: [secrets]\ncollections: {users: {mask: {emial: null, tags: null}}}")
    warned = lines()
    assert "users: email looks like an e-mail address" in warned["personal data"]["cause"]
    assert "users: phone looks like a telephone number" in warned["personal data"]["cause"]
    assert "secrets" not in warned["personal data"]["cause"]
    assert "users: no document of the sample has emial" in warned["rules of privacy"]["cause"]
    file.write_text(
        "version: 1\nexclude: [secrets]\ncollections: {users: {mask: {email: null, tags: null}, acknowledge: [phone]}}"
    )
    fine = lines()
    assert (fine["personal data"]["level"], fine["rules of privacy"]["level"]) == ("ok", "ok")
    assert "tags is sometimes an array" in fine["rules of privacy"]["cause"]
    inferred = tmp_path / "inferred.yml"
    assert operator.replicator("mapping", "infer", "--output", str(inferred)).exit_code == 0
    text = inferred.read_text()
    assert "    #   email: hmac  # an e-mail address" in text
    taken = re.sub(r"^    # (mask:|  \w+: .*)$", r"    \1", text, flags=re.MULTILINE)
    assert load_mapping(taken, name="inferred").rules.keys() == {"users", "secrets"}
