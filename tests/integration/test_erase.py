"""What is erased is nowhere, and the receipt does not say what it was."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from psycopg import sql
from pydantic import SecretStr

from replicator_service.core.mapping.loader import load_mapping
from tests.integration.test_privacy import everything, table
from tests.support.processes import Operator
from tests.support.replication import Replication, replicating

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.databases import Sink, Source

MAPPING = """\
version: 1
collections:
  tickets:
    columns: {ticket_id: text, user_id: text}
    children: {messages: {columns: {text: text}}}
"""
SECRET = "a key that is kept secret"
MART = """
create schema mart;
create table mart.efficiency_history (
    ticket_id text not null, user_id text, etl_valid_from timestamptz not null, etl_valid_to timestamptz
) partition by list (etl_valid_to);
create table mart.efficiency_current partition of mart.efficiency_history for values in (null);
create table mart.efficiency_closed partition of mart.efficiency_history default;
create view mart.efficiency as select ticket_id, user_id, etl_valid_from from mart.efficiency_current;
create table mart.activity_history (
    user_id text not null, etl_valid_from timestamptz not null, etl_valid_to timestamptz
);
insert into mart.efficiency_history values ('T-1', 'U-1', '2026-01-01', '2026-02-01'),
    ('T-1', 'U-1', '2026-02-01', null), ('T-2', 'U-1', '2026-01-01', null);
insert into mart.activity_history values ('U-1', '2026-01-01', null), ('U-9', '2026-01-01', null);
"""


@pytest.fixture
def operator(source: Source, sink: Sink, tmp_path: Path) -> Operator:
    file = tmp_path / "mapping.yml"
    file.write_text(MAPPING)
    return Operator(
        {
            "REPLICATOR_MONGO_URI": source.uri,
            "REPLICATOR_MONGO_DATABASE": source.name,
            "REPLICATOR_POSTGRES_DSN": sink.dsn,
            "REPLICATOR_MAPPING": str(file),
        },
        tmp_path,
    )


@pytest.fixture
def running(source: Source, sink: Sink) -> Iterator[Replication]:
    source.db.tickets.insert_many([ticket("T-1"), ticket("T-2")])
    with replicating(source, sink, load_mapping(MAPPING, name="mapping")) as replication:
        replication.catch_up()
        yield replication


def ticket(name: str) -> dict[str, Any]:
    return {"_id": name, "ticket_id": name, "user_id": "U-1", "messages": [{"text": f"of {name}"}]}


def execute(sink: Sink, statement: str, source: Source) -> None:
    """Run statements in which `{schema}` and `{name}` are the database's, as a name and as a text."""
    with sink.connect() as connection:
        connection.execute(sql.SQL(statement).format(schema=sql.Identifier(source.name), name=sql.Literal(source.name)))


def test_nothing_of_a_deleted_document_is_left_and_the_receipt_does_not_name_it(
    source: Source, sink: Sink, operator: Operator, running: Replication
) -> None:
    execute(sink, MART, source)
    execute(
        sink,
        """
        insert into replicator.dead_letter (stream, collection, source_id, operation, document, error)
        values ({name}, 'tickets', 'T-1', 'insert', 'T-1', 'refused');
        insert into replicator.reconciliation_run (stream) values ({name});
        insert into replicator.reconciliation_difference (run_id, collection, source_id, kind)
        values (1, 'tickets', 'T-1', 'different');
        insert into replicator.changed_key (reader, stream, table_name, key_column, key, cluster_time)
        values ('mart.efficiency', {name}, 'tickets', 'ticket_id', 'T-1', 0),
        ('mart.efficiency', {name}, 'tickets', 'ticket_id', 'T-1', 0),
        ('mart.activity', {name}, 'tickets', 'user_id', 'U-1', 0)
        """,
        source,
    )
    source.db.tickets.delete_one({"_id": "T-1"})
    answer = operator.answer("erase", "tickets", "T-1")
    schema = source.name
    assert answer["erased"] == {
        f"{schema}.tickets_messages": 0,
        f"{schema}.tickets": 0,
        "replicator.dead_letter": 1,
        "replicator.reconciliation_difference": 1,
        "replicator.changed_key": 2,
        "mart.activity_history": 0,
        "mart.efficiency_history": 2,
    }
    assert "T-1" not in everything(sink)
    with sink.connect() as connection:
        (receipt,) = connection.execute("select id, erased::text from replicator.erasure").fetchall()
    assert (receipt[0], json.loads(receipt[1])) == (answer["receipt"], answer["erased"])
    assert table(sink, source, "tickets", "_id") == [("T-2",)]
    running.catch_up()


def test_a_row_that_should_not_be_there_is_erased_with_what_marts_know_by_it(
    source: Source, sink: Sink, operator: Operator, running: Replication
) -> None:
    execute(sink, MART, source)
    execute(
        sink,
        "insert into {schema}.tickets (_id, ticket_id, user_id, etl_valid_from) values ('x', 'T-9', 'U-9', now())",
        source,
    )
    execute(sink, "insert into mart.efficiency_history values ('T-9', 'U-9', '2026-01-01', null)", source)
    answer = operator.answer("erase", "tickets", "x")
    assert (answer["erased"]["mart.efficiency_history"], answer["erased"]["mart.activity_history"]) == (1, 1)
    assert answer["erased"][f"{source.name}.tickets"] == 1
    assert "U-9" not in everything(sink)
    # Who has other documents stays, and is counted.
    source.db.tickets.delete_one({"_id": "T-1"})
    answer = operator.answer("erase", "tickets", "T-1", "--mart-key", "U-1")
    assert answer["kept"] == {f"{source.name}.tickets": 1}
    assert "U-1" in everything(sink)
    running.catch_up()


def test_what_exists_in_mongodb_or_could_come_back_is_not_erased(
    source: Source, operator: Operator, running: Replication
) -> None:
    still = operator.replicator("erase", "tickets", "T-1")
    assert still.exit_code == 1
    assert "Delete it there first" in still.output
    running.stop()
    source.db.tickets.delete_one({"_id": "T-1"})
    behind = operator.replicator("erase", "tickets", "T-1", "--patience", "0")
    assert behind.exit_code == 3
    assert "the stream has not come to the delete" in behind.output
    assert operator.replicator("erase", "ticket", "T-1").exit_code == 2


def test_a_trigger_that_keeps_rows_is_named(
    sink: Sink, source: Source, operator: Operator, running: Replication
) -> None:
    execute(
        sink,
        """
        insert into {schema}.tickets (_id, etl_valid_from) values ('kept', now());
        create function {schema}.keep() returns trigger language plpgsql as $$ begin return null; end $$;
        create trigger keep before delete on {schema}.tickets for each row execute function {schema}.keep()
        """,
        source,
    )
    refused = operator.replicator("erase", "tickets", "kept")
    assert refused.exit_code == 5
    assert f"rows of {source.name}.tickets cannot be deleted" in refused.output
    execute(sink, "drop trigger keep on {schema}.tickets", source)
    running.catch_up()


def test_a_document_of_a_masked_id_is_erased_by_its_true_id(source: Source, sink: Sink, operator: Operator) -> None:
    file = Path(operator.environ["REPLICATOR_MAPPING"])
    file.write_text(MAPPING.replace("    columns:", "    mask: {_id: hmac, user_id: hmac}\n    columns:", 1))
    operator.environ["REPLICATOR_MASK_KEY"] = SECRET
    source.db.tickets.insert_many([ticket("T-1"), {**ticket("T-2"), "_id": 7, "user_id": "U-2"}])
    mapping = load_mapping(file.read_text(), name="mapping")
    with replicating(source, sink, mapping, mask_key=SecretStr(SECRET)) as replication:
        replication.catch_up()
        execute(sink, MART.partition("insert")[0], source)
        row = f"insert into mart.activity_history values ('{masked('U-2')}', '2026-01-01', null)"  # noqa: S608 - ours
        execute(sink, row, source)
        still = operator.replicator("erase", "tickets", "$number:7")
        assert (still.exit_code, "Delete it there first" in still.output) == (1, True)
        with sink.connect() as connection:
            statement = sql.SQL("create table kept as select * from {}.tickets").format(sql.Identifier(source.name))
            connection.execute(statement)
        source.db.tickets.delete_one({"_id": 7})
        replication.catch_up()
        # A row that the stream has left, as a fault might.
        execute(
            sink, "insert into {schema}.tickets select * from kept where ticket_id = 'T-2'; drop table kept", source
        )
        answer = operator.answer("erase", "tickets", "$number:7", "--mart-key", "U-2")
        assert answer["erased"][f"{source.name}.tickets"] == 1
        assert answer["erased"]["mart.activity_history"] == 1
        assert table(sink, source, "tickets", "ticket_id") == [("T-1",)]
        replication.catch_up()


def masked(text: str) -> str:
    return hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()
