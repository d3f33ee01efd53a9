"""`mongo-init/`: from an empty volume to a replica set with users, again and again, with the real shell."""

from __future__ import annotations

import os
import stat
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from pymongo.errors import OperationFailure

from tests.support.deployment import BASH, MONGO_INIT, SECRETS, MongoOrigin, mongo_origin

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROOT = ("root", SECRETS["MONGO_ROOT_PASSWORD"])
REPLICATOR = ("replicator", SECRETS["MONGO_REPLICATOR_PASSWORD"])


@pytest.fixture
def empty() -> Iterator[MongoOrigin]:
    """A mongod on an empty volume."""
    with mongo_origin() as server:
        yield server


@pytest.fixture(scope="module")
def ready() -> Iterator[MongoOrigin]:
    """A mongod that was made ready once. Tests leave its users as they are."""
    with mongo_origin() as server:
        done = server.initialise()
        assert done.returncode == 0, done.stdout + done.stderr
        yield server


def signs_in(server: MongoOrigin, user: str, password: str) -> bool:
    with server.client(user, password) as client:
        try:
            client.admin.command("connectionStatus")
        except OperationFailure:
            return False
    return True


def images_are_on(server: MongoOrigin, collection: str) -> bool:
    with server.client(*ROOT) as client:
        options = client["origin"][collection].options()
    return bool(options.get("changeStreamPreAndPostImages", {}).get("enabled"))


def test_an_empty_volume_becomes_a_replica_set_with_users(empty: MongoOrigin) -> None:
    assert empty.health() == 0, "waiting to be initiated is well"
    done = empty.initialise()
    assert (done.returncode, done.stderr) == (0, "")
    assert empty.health() == 0
    with empty.client(*ROOT) as client:
        hello = client.admin.command("hello")
        users = {user["user"]: user["roles"] for user in client.admin.command("usersInfo", 1)["users"]}
    assert (hello["setName"], hello["me"]) == ("rs0", empty.address)
    assert {name: {each["role"] for each in roles} for name, roles in users.items()} == {
        "root": {"root"},
        "replicator": {"read", "replicationObserver"},
        "airflow": {"readWrite", "replicationObserver"},
    }


def told(server: MongoOrigin) -> tuple[dict[str, Any], dict[str, Any]]:
    """The users by their names, and the set's configuration; MongoDB lists users and roles in no certain order."""
    with server.client(*ROOT) as client:
        users = client.admin.command("usersInfo", 1)["users"]
        for user in users:
            user["roles"].sort(key=lambda role: role["role"])
        return {user["_id"]: user for user in users}, client.admin.command("replSetGetConfig")["config"]


def test_a_second_run_changes_nothing(ready: MongoOrigin) -> None:
    before = told(ready)
    done = ready.initialise()
    assert (done.returncode, done.stderr) == (0, "")
    assert told(ready) == before


def test_a_changed_password_is_mended(ready: MongoOrigin) -> None:
    assert ready.initialise(MONGO_REPLICATOR_PASSWORD="another").returncode == 0
    assert signs_in(ready, "replicator", "another")
    assert not signs_in(ready, *REPLICATOR)
    assert ready.initialise().returncode == 0
    assert signs_in(ready, *REPLICATOR)


def test_a_run_that_was_interrupted_before_the_first_user_is_completed(empty: MongoOrigin) -> None:
    with empty.nobody() as client:
        members = [{"_id": 0, "host": empty.address}]
        client.admin.command("replSetInitiate", {"_id": "rs0", "members": members})
    assert empty.initialise().returncode == 0
    assert signs_in(empty, *REPLICATOR)


def test_a_run_that_was_interrupted_after_the_administrator_is_completed(empty: MongoOrigin) -> None:
    assert empty.initialise().returncode == 0
    with empty.client(*ROOT) as client:
        for user in ("replicator", "airflow"):
            client.admin.command("dropUser", user)
        client.admin.command("dropRole", "replicationObserver")
    assert empty.initialise().returncode == 0
    assert signs_in(empty, *REPLICATOR)


def test_a_volume_that_names_another_member_gets_a_primary(tmp_path: Path) -> None:
    first = MongoOrigin(tmp_path)
    try:
        assert first.initialise().returncode == 0
    finally:
        assert first.stop() == 0
    moved = MongoOrigin(tmp_path)
    try:
        assert moved.address != first.address
        done = moved.initialise()
        assert done.returncode == 0, done.stderr
        assert f"its member was {first.address}, now it is {moved.address}" in done.stdout
        with moved.client(*ROOT) as client:
            assert client.admin.command("hello")["isWritablePrimary"]
    finally:
        moved.stop()


def test_a_wrong_administrator_is_one_line_with_a_fix(ready: MongoOrigin) -> None:
    done = ready.initialise(MONGO_ROOT_PASSWORD="forgotten")
    assert done.returncode == 1
    assert done.stderr.startswith("error: MongoDB refuses MONGO_ROOT_PASSWORD: its volume was made with another one")
    assert done.stderr.count("\n") == 1
    assert "forgotten" not in done.stdout + done.stderr


def test_every_wrong_variable_is_named_before_anything_is_done(ready: MongoOrigin) -> None:
    done = ready.initialise(
        MONGO_REPLICATOR_PASSWORD="",
        MONGO_DB_CONN_PASSWORD="p@ss/word",
        MONGO_DB_CONN_LOGIN="root",
        MONGO_PRE_AND_POST_IMAGES="perhaps",
    )
    assert done.returncode == 1
    assert done.stdout == ""
    for told in (
        "MONGO_REPLICATOR_PASSWORD is missing",
        "MONGO_DB_CONN_PASSWORD may only have letters",
        "MONGO_DB_CONN_LOGIN is the name of another user",
        "MONGO_PRE_AND_POST_IMAGES is neither on nor off",
    ):
        assert told in done.stderr
    assert "p@ss" not in done.stderr


def test_images_are_kept_only_where_they_are_wanted(ready: MongoOrigin) -> None:
    with ready.client(*ROOT) as client:
        client["origin"]["Pictured"].insert_one({})
    assert ready.initialise().returncode == 0
    assert not images_are_on(ready, "Pictured")
    assert ready.initialise(MONGO_PRE_AND_POST_IMAGES="on").returncode == 0
    assert images_are_on(ready, "Pictured")


def test_the_key_file_is_made_once_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    server = MongoOrigin(tmp_path)
    assert server.stop() == 0, "a stopped container has ended well"
    key = server.key_file.read_bytes()
    assert stat.S_IMODE(server.key_file.stat().st_mode) == 0o400
    assert len(key) > 256
    again = MongoOrigin(tmp_path)
    again.stop()
    assert again.key_file.read_bytes() == key


@pytest.mark.parametrize(("exit_code", "told"), [(62, "written by another version"), (100, "cannot use its volume")])
def test_the_end_of_mongod_is_explained(tmp_path: Path, exit_code: int, told: str) -> None:
    program = tmp_path / "mongod"
    program.write_text(f"#!/bin/sh\nexit {exit_code}\n", encoding="ascii")
    program.chmod(0o755)
    done = subprocess.run(
        [BASH, str(MONGO_INIT / "start.sh")],
        env={"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "MONGO_KEY_FILE": str(tmp_path / "keyfile")},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == exit_code
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
