"""The demo's proof finds what differs, and its directory belongs to one run at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from psycopg import sql

from devstack.demo.comparison import Comparison, compare
from devstack.demo.stage import MAPPING
from devstack.errors import DevstackError
from devstack.scratch import scratch_directory
from replicator_service.core.mapping.loader import load_mapping
from tests.support.replication import replicating

if TYPE_CHECKING:
    from pathlib import Path

    from replicator_service.core.mapping.model import Mapping
    from tests.support.databases import Sink, Source

SHOP = load_mapping(MAPPING.read_bytes(), name="shop")
TICKETS = [
    {"_id": f"k{n}", "ticket_id": f"t{n}", "messages": [{"sender": "user", "message": f"m{i}"} for i in range(n)]}
    for n in range(4)
]


def compared(source: Source, sink: Sink, mapping: Mapping = SHOP) -> Comparison:
    return compare(source.client, source.name, sink.dsn, mapping)


def test_equal_sides_are_counted_and_have_no_differences(source: Source, sink: Sink) -> None:
    source.db.SupportTickets.insert_many(TICKETS)
    source.db.unmapped.insert_one({"_id": "a", "nested": {"list": [1, None]}})
    with replicating(source, sink, SHOP) as replication:
        replication.catch_up()
        comparison = compared(source, sink)
    counts = {each.table: (each.expected, each.rows) for each in comparison.tables}
    assert counts["support_tickets"] == (4, 4)
    assert counts["support_ticket_messages"] == (6, 6)
    assert counts["unmapped"] == (1, 1)
    assert (comparison.differences, comparison.documents) == (0, 5)


def test_every_kind_of_difference_is_found_at_its_table(source: Source, sink: Sink) -> None:
    source.db.SupportTickets.insert_many(TICKETS)
    schema = sql.Identifier(source.name)
    with replicating(source, sink, SHOP) as replication:
        replication.catch_up()
        with sink.connect() as connection:
            for statement in (
                "delete from {}.support_tickets where _id = 'k1'",
                "insert into {}.support_tickets (_id, etl_valid_from) values ('k99', now())",
                "update {}.support_ticket_messages set message = null where _id = 'k2' and _ordinal = 1",
            ):
                connection.execute(sql.SQL(statement).format(schema))
        found = {each.table: each for each in compared(source, sink).tables}
    tickets, messages = found["support_tickets"], found["support_ticket_messages"]
    assert (tickets.missing, tickets.unexpected, tickets.different) == (1, 1, 0)
    assert (messages.missing, messages.unexpected, messages.different) == (0, 0, 1)


def test_a_second_run_in_the_same_directory_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "demo"
    with scratch_directory(place, postgres_version=18), pytest.raises(DevstackError, match="Another run"):
        scratch_directory(place, postgres_version=18).__enter__()


def test_only_logs_stay_when_a_run_ends_and_the_next_one_starts_empty(tmp_path: Path) -> None:
    place = tmp_path / "demo"
    with scratch_directory(place, postgres_version=18):
        (place / "mongo" / "member-0" / "data").mkdir(parents=True)
        (place / "postgres-dsn").write_text("secret")
        (place / "replicator.log").write_text("a line\n")
    assert [path.name for path in place.rglob("*") if path.is_file()] == ["replicator.log"]
    assert not (place / "mongo" / "member-0" / "data").exists()
    with scratch_directory(place, postgres_version=18):
        assert list(place.iterdir()) == []
