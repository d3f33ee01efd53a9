"""What the page on moving here from another tool has people run in PostgreSQL does what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg

from tests.support.doc_blocks import ROOT, blocks

if TYPE_CHECKING:
    from tests.support.databases import Sink

STATEMENTS = [block.text for block in blocks(ROOT / "docs" / "how-to" / "migrate.md") if block.language == "sql"]

BEFORE = """
create schema mydata;
create table mydata.orders (_id text primary key, customer text, total numeric, created_at timestamptz);
insert into mydata.orders (_id) values ('kept'), ('deleted in MongoDB');
create schema reports;
create table reports.orders (id text, customer text, total numeric, created_at timestamptz);
insert into reports.orders (id) values ('old');
create view reports.made_before as select id from reports.orders;
"""
OURS = """
create schema mydata;
create table mydata.orders (_id text primary key, customer text, total numeric, created_at timestamptz);
insert into mydata.orders (_id) values ('kept'), ('lost by the old tool');
"""


def test_the_statements_of_the_page_move_readers_and_name_what_differs(sink: Sink) -> None:
    out_of_the_way, compared, switched, bound = STATEMENTS
    with psycopg.connect(sink.dsn, autocommit=True) as connection:
        connection.execute(BEFORE.encode())
        connection.execute(out_of_the_way.encode())
        connection.execute(OURS.encode())
        stale, lost = (
            connection.execute(statement.encode()).fetchall() for statement in compared.strip().split(";") if statement
        )
        assert stale == [("deleted in MongoDB",)]
        assert lost == [("lost by the old tool",)]
        connection.execute(switched.replace("to analyst", "to current_user").encode())
        rows = connection.execute("select id from reports.orders order by id").fetchall()
        assert rows == [("kept",), ("lost by the old tool",)]
        assert connection.execute(bound.encode()).fetchall() == [("made_before",)]
        assert connection.execute("select id from reports.made_before").fetchall() == [("old",)]
