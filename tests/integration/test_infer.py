"""`replicator mapping infer` on real databases: the shop gets the tables of its own mapping, and they replicate."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from pymongo import MongoClient
from typer.testing import CliRunner, Result

from devstack.mongo import MongoReplicaSet
from replicator_service.cli.application import application
from replicator_service.core.mapping.loader import load_mapping
from tests.support.databases import fresh_source
from tests.support.reconciliation import MIXED_IDS, order, reconciled, rows
from tests.support.replication import replicating
from warehouse_jobs.generator.job import generate
from warehouse_jobs.generator.parameters import Interval, Parameters
from warehouse_jobs.generator.server import MongoSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from replicator_service.core.mapping.model import MappedColumn, Mapping
    from tests.support.databases import Sink, Source

DAYS = Interval.of_days(datetime(2026, 3, 2, tzinfo=UTC), 3)
SHOP = Parameters.in_total(3_000, DAYS, users=150, products=40, update_share=0.25, delete_share=0.1)
SHOP_FILE = Path(__file__).parents[2] / "mappings" / "shop.yml"
PASSWORD = "not-to-be-seen"


@pytest.fixture(scope="module")
def shop(mongo_server: MongoReplicaSet) -> Iterator[Source]:
    """A generated shop that is only read."""
    with fresh_source(mongo_server) as database:
        generate(MongoSettings(database.uri, database.name), SHOP, DAYS)
        yield database


def infer(source: Source, *arguments: str, **environ: str) -> Result:
    """Run the command in the environment of somebody who has not set up PostgreSQL yet."""
    variables = {"COLUMNS": "200", "REPLICATOR_MONGO_URI": source.uri, "REPLICATOR_MONGO_DATABASE": source.name}
    return CliRunner().invoke(application, ["mapping", "infer", *arguments], env=variables | environ)


def inferred(source: Source, *arguments: str) -> Mapping:
    done = infer(source, *arguments)
    assert done.exit_code == 0, done.output
    assert done.stderr == ""
    return load_mapping(done.stdout, name="inferred")


def types(columns: tuple[MappedColumn, ...]) -> dict[tuple[str, ...], str]:
    return {column.path: column.type.value for column in columns if not column.from_parent}


def tables(mapping: Mapping) -> dict[tuple[str, tuple[str, ...]], dict[tuple[str, ...], str]]:
    """Types by path, of each collection and each of its arrays: a mapping without the names that people choose."""
    found: dict[tuple[str, tuple[str, ...]], dict[tuple[str, ...], str]] = {}
    for typed in mapping.collections:
        found[typed.collection, ()] = types(typed.columns)
        for child in typed.children:
            found[typed.collection, child.path] = types(child.columns)
    return found


def test_the_shop_gets_the_tables_and_types_of_its_own_mapping(shop: Source) -> None:
    mapping = inferred(shop)
    assert tables(mapping) == tables(load_mapping(SHOP_FILE.read_bytes(), name="shop"))


def test_a_sample_of_the_shop_gives_the_same_tables_as_all_of_it(shop: Source) -> None:
    assert tables(inferred(shop, "--sample", "60")) == tables(inferred(shop))


def test_three_commands_lead_from_an_unknown_database_to_typed_tables(
    source: Source, sink: Sink, tmp_path: Path
) -> None:
    generate(MongoSettings(source.uri, source.name), SHOP, DAYS)
    source.db.Orders.insert_many([order(number) for number in range(50)])
    source.db.Mixed.insert_many([{"_id": each, "value": each, "list": [each]} for each in MIXED_IDS])
    # The driver refuses such a name, the server does not.
    source.db.command({"insert": "odd..name", "documents": [{"_id": 1, "a.b": 1, "createdAt": "x", "": [{"n": 1}]}]})
    file = tmp_path / "my mapping.yml"

    done = infer(source, "-o", str(file))
    assert done.exit_code == 0, done.output
    assert f"replicator mapping check '{file}'" in done.stdout
    checked = CliRunner().invoke(application, ["mapping", "check", str(file)])
    assert "10 collections, 15 tables, no problems" in checked.stdout

    mapping = load_mapping(file.read_bytes(), name=str(file))
    with replicating(source, sink, mapping) as replication:
        replication.catch_up()
        result = reconciled(replication).result
    assert result.differences == 0
    assert result.documents == sum(
        source.db.command({"count": name})["n"] for name in source.db.list_collection_names()
    )
    assert rows(sink, source, "orders") == 50
    with sink.connect() as connection:
        for typed in mapping.collections:
            query = f'select count(*) from "{source.name}"."{typed.table}" where _extra is not null'  # noqa: S608 - names of ours
            assert connection.execute(query).fetchone() == (long_ids(typed.collection),), typed.collection


def long_ids(collection: str) -> int:
    """Rows whose `_extra` has the `_id`, since that is too long for a key."""
    return 1 if collection == "Mixed" else 0


def test_chosen_collections_are_the_only_ones_in_the_file_and_its_header(shop: Source) -> None:
    done = infer(shop, "-c", "EventLogs", "--collection", "SearchQueries", "-c", "EventLogs", "-n", "20")
    assert [each.collection for each in load_mapping(done.stdout, name="x").collections] == [
        "EventLogs",
        "SearchQueries",
    ]
    assert "replicator mapping infer --collection EventLogs --collection SearchQueries" in done.stdout
    assert "--sample 20\n" in done.stdout
    for secret in (shop.uri, "127.0.0.1"):
        assert secret not in done.stdout


def test_no_value_of_a_document_is_told(source: Source) -> None:
    source.db.secrets.insert_many([{"word": f"hush{number}", "mixed": [7654321, "hush"][number]} for number in (0, 1)])
    done = infer(source)
    assert "word: text" in done.stdout
    assert "hush" not in done.output
    assert "7654321" not in done.output


def test_what_cannot_be_typed_or_replicated_is_named(source: Source) -> None:
    source.db.things.insert_one({"a": 1})
    source.db.create_collection("empty")
    source.db.create_collection("recent", viewOn="things", pipeline=[])
    source.db.create_collection("metrics", timeseries={"timeField": "at"})
    source.db.create_collection("last", capped=True, size=4096)
    source.db["last"].insert_one({"b": 1})
    told = json.loads(infer(source, "--json").stdout)
    assert told["document_tables"] == {"empty": "no documents yet"}
    assert told["not_replicable"] == {"metrics": "a time-series collection", "recent": "a view"}
    assert told["collections"] == {
        "last": {"documents": 1, "sampled": 1, "tables": {"last": 1}},
        "things": {"documents": 1, "sampled": 1, "tables": {"things": 1}},
    }
    assert told["output"] is None
    assert [each.collection for each in load_mapping(told["mapping"], name="x").collections] == ["last", "things"]


def test_a_database_of_empty_collections_gives_a_file_without_tables(source: Source) -> None:
    source.db.create_collection("empty")
    assert inferred(source).collections == ()


def test_an_existing_file_is_kept_unless_it_is_forced(source: Source, tmp_path: Path) -> None:
    source.db.things.insert_one({"a": 1})
    file = tmp_path / "my.yml"
    file.write_text("mine")
    done = infer(source, "--output", str(file))
    assert (done.exit_code, file.read_text()) == (2, "mine")
    assert "exists" in done.stderr
    assert "--force" in done.stderr
    done = infer(source, "--output", str(file), "--force", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["mapping"] is None
    assert load_mapping(file.read_bytes(), name="x").collections[0].table == "things"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["-c", "Thinks"], ["there is no collection 'Thinks'", "Did you mean things?"]),
        (["-c", "zzz"], ["there is no collection 'zzz'", "Known are: recent, things."]),
        (["-c", "recent"], ["'recent' is a view", "no change events"]),
        (["-o", "/nowhere/my.yml"], ["the directory /nowhere does not exist"]),
        (["-o", "."], [". is a directory"]),
    ],
)
def test_what_is_wrong_is_told_in_one_line_with_the_way_out(
    source: Source, arguments: list[str], told: list[str]
) -> None:
    source.db.things.insert_one({"a": 1})
    source.db.create_collection("recent", viewOn="things", pipeline=[])
    done = infer(source, *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert all(each in done.stderr for each in told), done.stderr
    assert len(done.stderr.splitlines()) == 2


def test_a_missing_database_is_told_with_those_that_exist(source: Source) -> None:
    source.db.things.insert_one({"a": 1})
    done = infer(source, REPLICATOR_MONGO_DATABASE="nowhere")
    assert done.exit_code == 2
    assert "the database 'nowhere' has no collections" in done.stderr
    assert source.name in done.stderr


def test_a_mapping_beyond_its_own_limits_is_told_before_it_is_written(source: Source, tmp_path: Path) -> None:
    # 21 array fields with 200 long names each, in five collections, are over 4 MiB.
    wide = {f"{'x' * 180}{number}": 1 for number in range(200)}
    document = {f"list{number}": [wide] for number in range(21)}
    for number in range(5):
        source.db[f"things{number}"].insert_one(dict(document))
    file = tmp_path / "my.yml"
    done = infer(source, "-o", str(file))
    assert done.exit_code == 2
    assert "larger than 4 MiB" in done.stderr
    assert "--collection" in done.stderr
    assert not file.exists()


def test_a_server_that_is_away_is_a_matter_of_the_connection(source: Source) -> None:
    done = infer(source, REPLICATOR_MONGO_URI="mongodb://127.0.0.1:9/")
    assert done.exit_code == 3
    assert "no MongoDB server can be reached" in done.stderr


def test_users_without_privileges_are_told_which_role_they_need() -> None:
    with MongoReplicaSet.start(auth=True) as server:
        with MongoClient[dict[str, Any]](server.uri) as client:
            client.shop.orders.insert_one({"_id": 1, "a": 1})
            client.admin.command("createUser", "reader", pwd=PASSWORD, roles=[{"role": "read", "db": "shop"}])
            client.admin.command("createUser", "nobody", pwd=PASSWORD, roles=[])
        told = {}
        for user in ("reader", "nobody", "stranger"):
            uri = f"mongodb://{user}:{quote(PASSWORD)}@127.0.0.1:{server.port}/?authSource=admin&directConnection=true"
            environ = {"REPLICATOR_MONGO_URI": uri, "REPLICATOR_MONGO_DATABASE": "shop"}
            told[user] = CliRunner().invoke(application, ["mapping", "infer"], env=environ)
    assert [done.exit_code for done in told.values()] == [0, 2, 2]
    assert "lacks a privilege" in told["nobody"].stderr
    assert "'read'" in told["nobody"].stderr
    assert "user name or password" in told["stranger"].stderr
    assert all(PASSWORD not in done.output for done in told.values())
