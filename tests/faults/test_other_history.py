"""Another history behind the same address: another replica set, or the same one set back to a backup."""

from __future__ import annotations

import shutil
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from pymongo import MongoClient

from devstack.mongo import MongoReplicaSet
from replicator_service.core.errors import ResyncRequired, Retryable
from replicator_service.core.history import require_same_collections
from replicator_service.core.position import Position
from replicator_service.source.connect.connection import Client, server_info
from replicator_service.source.read.history import require_history
from replicator_service.source.read.mongo import MongoSource
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from replicator_service.core.ports import HistoryMark

NAME = "shop"


def insert(server: MongoReplicaSet, value: int) -> None:
    document: dict[str, Any] = {"_id": value}
    with MongoClient[dict[str, Any]](server.uri) as writer:
        writer[NAME]["things"].insert_one(document)


def position_and_mark(server: MongoReplicaSet) -> tuple[Position, HistoryMark, bytes]:
    client: Client
    with (
        MongoClient(server.uri) as client,
        closing(MongoSource(client, client[NAME], server_info(client, client[NAME]))) as door,
    ):
        at = door.operation_time()
        mark = door.history_mark(at)
        found = door.collection("things")
        assert mark is not None
        assert found is not None
        assert found.uuid is not None
        return Position({"_data": f"82{at:016X}2B0429296E1404"}, at), mark, found.uuid


def judge(server: MongoReplicaSet, position: Position, mark: HistoryMark) -> None:
    client: Client
    with MongoClient(server.uri) as client:
        require_history(client, client[NAME], position, mark)


def test_the_same_servers_after_a_restart_are_the_same_history(tmp_path: Path) -> None:
    with MongoReplicaSet.start(tmp_path / "one") as server:
        insert(server, 1)
        position, mark, _ = position_and_mark(server)
        server.restart()
        insert(server, 2)
        judge(server, position, mark)


def test_another_replica_set_of_the_same_name_is_another_history(tmp_path: Path) -> None:
    with MongoReplicaSet.start(tmp_path / "older") as older, MongoReplicaSet.start(tmp_path / "newer") as newer:
        for server in (older, newer):
            insert(server, 1)
        position, mark, uuid = position_and_mark(newer)
        insert(newer, 2)

        def has_passed() -> bool:
            insert(older, 2 + position_and_mark(older)[0].cluster_time)
            return position_and_mark(older)[0].cluster_time > position.cluster_time

        wait_until(has_passed, message="the older one to pass the position")
        with pytest.raises(ResyncRequired, match="another replica set"):
            judge(older, position, mark)
        judge(newer, position, mark)
        client: Client
        with MongoClient(older.uri) as client:
            door = MongoSource(client, client[NAME], server_info(client, client[NAME]))
            with pytest.raises(ResyncRequired):
                require_same_collections({"things": uuid}, door.collections())
            door.close()


def test_files_set_back_to_a_backup_are_another_history(tmp_path: Path) -> None:
    live, backup = tmp_path / "live", tmp_path / "backup"
    server = MongoReplicaSet.start(live)
    try:
        port = server.port
        insert(server, 1)
        server.stop()
        shutil.copytree(live, backup)
        server = MongoReplicaSet.start(live, port=port)
        insert(server, 2)
        position, mark, _ = position_and_mark(server)
        server.stop()
        shutil.rmtree(live)
        shutil.copytree(backup, live)
        server = MongoReplicaSet.start(live, port=port)

        def is_judged() -> bool:
            insert(server, 3 + position_and_mark(server)[0].cluster_time)
            try:
                judge(server, position, mark)
            except Retryable:
                return False
            return True

        with pytest.raises(ResyncRequired, match="restored from a backup"):
            wait_until(is_judged, message="the restored server to pass the checkpoint")
    finally:
        server.stop()
