"""A mapping changes between two starts: the tables follow, and every row is right again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from psycopg import sql

from replicator_service.core.errors import ConfigurationError
from replicator_service.core.mapping.model import (
    ChildTable,
    CollectionMapping,
    ColumnType,
    DocumentCollection,
    KeepBson,
    MappedColumn,
    Mapping,
    TypedCollection,
)
from replicator_service.sink.connect.connection import connect
from replicator_service.sink.control.requests import add_request
from replicator_service.sink.indexes.builder import IndexBuilder
from tests.support.limits import LIVELY
from tests.support.oracle import differences
from tests.support.replication import documents_at, replicating

if TYPE_CHECKING:
    from tests.support.databases import Sink, Source

A = MappedColumn("a", ("a",), ColumnType.TEXT)
N = MappedColumn("n", ("n",), ColumnType.INTEGER)
PARENTS_A = MappedColumn("a", ("a",), ColumnType.TEXT, from_parent=True)
LINES = ChildTable("lines", ("lines",), (MappedColumn("x", ("x",), ColumnType.INTEGER),))


def typed(*columns: MappedColumn, children: tuple[ChildTable, ...] = (), **options: Any) -> TypedCollection:
    return TypedCollection("Things", options.pop("table", "things"), columns, children, **options)


UNMAPPED = DocumentCollection("Things", "things")


def mapping_of(collection: CollectionMapping) -> Mapping:
    return Mapping((collection,)) if isinstance(collection, TypedCollection) else Mapping()


def fill(source: Source, since: int) -> None:
    source.db.Things.insert_many(
        [
            {"_id": n, "a": f"text {n}", "n": n if n % 3 else f"{n}", "b": {"c": n}, "lines": [{"x": n}, {"x": "odd"}]}
            for n in range(since, since + 30)
        ]
    )


def request_resync(source: Source, sink: Sink) -> None:
    with sink.connect() as connection:
        add_request(connection, source.name, "resync", "Things")


def assert_as_mapped(source: Source, sink: Sink, collection: CollectionMapping) -> None:
    documents = documents_at(source, "Things").values()
    with sink.connect(autocommit=False) as connection:
        # What an old mapping left in columns that nobody fills any more does not count.
        assert differences(connection, source.name, collection, documents) == []


def run(source: Source, sink: Sink, mapping: CollectionMapping, since: int) -> None:
    """Start with a mapping, let documents come and change, and compare every row."""
    with replicating(source, sink, mapping_of(mapping), limits=LIVELY) as replication:
        fill(source, since)
        source.db.Things.update_many({"_id": {"$lt": 5}}, {"$inc": {"b.c": 1}})
        replication.catch_up()
        source.db.Things.delete_one({"_id": since + 1})
        replication.catch_up()
        assert_as_mapped(source, sink, mapping)


IN_PLACE = {
    "a column is added": (typed(A), typed(A, N)),
    "a column takes another path": (typed(A), typed(MappedColumn("a", ("b", "c"), ColumnType.TEXT))),
    "a column is no longer mapped": (typed(A, N), typed(A)),
    "a child table is added": (typed(A), typed(A, children=(LINES,))),
    "a child table is removed": (typed(A, children=(LINES,)), typed(A)),
    "a child takes a column": (
        typed(A, children=(LINES,)),
        typed(
            A,
            children=(ChildTable("lines", ("lines",), (*LINES.columns, PARENTS_A)),),
        ),
    ),
    "the order of columns changes": (typed(A, N), typed(N, A)),
    "an index is added": (typed(A), typed(A, indexes=(("a",),))),
    "the original is kept": (typed(A), typed(A, keep_bson=KeepBson.ALWAYS)),
    "the original is not kept any more": (typed(A, keep_bson=KeepBson.ALWAYS), typed(A)),
    "the key gets columns": (
        typed(A),
        typed(
            A,
            MappedColumn("id", ("_id",), ColumnType.BIGINT),
            children=(
                ChildTable(
                    "lines",
                    ("lines",),
                    (*LINES.columns, MappedColumn("id", ("_id",), ColumnType.BIGINT, from_parent=True)),
                ),
            ),
        ),
    ),
    "another table": (typed(A), typed(A, table="other_things")),
    "a document table gets a mapping with another table": (UNMAPPED, typed(A, table="typed_things")),
}


@pytest.mark.parametrize(("old", "new"), IN_PLACE.values(), ids=IN_PLACE.keys())
def test_a_change_that_can_be_made_in_place_is_made(
    source: Source, sink: Sink, old: CollectionMapping, new: CollectionMapping
) -> None:
    fill(source, 0)
    run(source, sink, old, 100)
    fill(source, 200)
    run(source, sink, new, 300)
    run(source, sink, new, 400)


WITH_RESYNC = {
    "a column changes its type": (typed(A, N), typed(A, MappedColumn("n", ("n",), ColumnType.TEXT))),
    "a document table becomes a typed one": (UNMAPPED, typed(A, N, children=(LINES,))),
    "a typed table becomes a document table": (typed(A, N, children=(LINES,)), UNMAPPED),
    "a child table becomes another one's parent": (typed(A, children=(LINES,)), typed(A, table="lines")),
}


@pytest.mark.parametrize(("old", "new"), WITH_RESYNC.values(), ids=WITH_RESYNC.keys())
def test_a_change_that_cannot_be_made_in_place_waits_for_a_resync(
    source: Source, sink: Sink, old: CollectionMapping, new: CollectionMapping
) -> None:
    fill(source, 0)
    run(source, sink, old, 100)
    fill(source, 200)
    with pytest.raises(ConfigurationError, match="resync"):
        run(source, sink, new, 300)
    assert_table(sink, source)
    request_resync(source, sink)
    run(source, sink, new, 400)
    run(source, sink, new, 500)


def assert_table(sink: Sink, source: Source) -> None:
    """The old rows are there still."""
    with sink.connect() as connection:
        query = sql.SQL("select count(*) from {}").format(sql.Identifier(source.name, "things"))
        assert connection.execute(query).fetchone() == (59,)


@pytest.mark.parametrize("is_asked", [False, True], ids=["at the start", "after a request"])
def test_a_table_of_somebody_else_is_never_dropped(source: Source, sink: Sink, *, is_asked: bool) -> None:
    with sink.connect() as connection:
        schema = sql.Identifier(source.name)
        connection.execute(sql.SQL("create schema {}").format(schema))
        connection.execute(sql.SQL("create table {}.things (a text)").format(schema))
        connection.execute(sql.SQL("insert into {}.things values ('precious')").format(schema))
    fill(source, 0)
    if is_asked:
        with replicating(source, sink, mapping_of(typed(A, table="elsewhere")), limits=LIVELY) as replication:
            replication.catch_up()
        request_resync(source, sink)
    with pytest.raises(ConfigurationError, match="not a replicated one"):
        run(source, sink, typed(A), 100)
    with sink.connect() as connection:
        assert connection.execute(sql.SQL("select a from {}.things").format(schema)).fetchall() == [("precious",)]
    run(source, sink, typed(A, table="things_of_mongodb"), 200)


def test_a_collection_of_somebody_elses_name_without_a_mapping_is_told_too(source: Source, sink: Sink) -> None:
    with sink.connect() as connection:
        schema = sql.Identifier(source.name)
        connection.execute(sql.SQL("create schema {}").format(schema))
        connection.execute(sql.SQL("create view {}.things as select 1 as a").format(schema))
    fill(source, 0)
    with pytest.raises(ConfigurationError, match="not a replicated one"):
        run(source, sink, UNMAPPED, 100)


def test_a_view_on_a_table_that_has_to_be_built_anew_is_named(source: Source, sink: Sink) -> None:
    """The table cannot be dropped: nobody's view is dropped with it, and the message tells what is in the way."""
    fill(source, 0)
    run(source, sink, typed(A, N), 100)
    with sink.connect() as connection:
        schema = sql.Identifier(source.name)
        connection.execute(sql.SQL("create view {0}.seen as select a from {0}.things").format(schema))
    request_resync(source, sink)
    new = typed(A, MappedColumn("n", ("n",), ColumnType.TEXT))
    with pytest.raises(ConfigurationError, match="depend"):
        run(source, sink, new, 200)
    with sink.connect() as connection:
        connection.execute(sql.SQL("drop view {}.seen").format(schema))
    run(source, sink, new, 300)


def test_an_index_that_the_mapping_asks_for_is_made_without_reading_anything_again(source: Source, sink: Sink) -> None:
    fill(source, 0)
    run(source, sink, typed(A), 100)
    indexed = typed(A, indexes=(("a",),))
    with replicating(source, sink, mapping_of(indexed), limits=LIVELY) as replication:
        replication.catch_up()
        with connect(sink.dsn, application_name="test") as connection:
            assert IndexBuilder(connection, source.name, mapping_of(indexed), clock=time.monotonic).turn() is not None
            indexes = "select count(*) from pg_indexes where schemaname = %s and tablename = 'things'"
            assert connection.execute(indexes, (source.name,)).fetchone() == (2,)
            read = "select count(*) from replicator.snapshot_progress where finished_at is not null"
            assert connection.execute(read).fetchone() == (1,)


COMMENTS = """
select coalesce(a.attname, c.relname), d.description
from pg_catalog.pg_description as d
inner join pg_catalog.pg_class as c on c.oid = d.objoid and d.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass
left join pg_catalog.pg_attribute as a on a.attrelid = c.oid and a.attnum = d.objsubid
where c.relnamespace = %s::pg_catalog.regnamespace and c.relkind = 'r'
"""


def comments(source: Source, sink: Sink) -> dict[str, str]:
    with sink.connect() as connection:
        return dict(connection.execute(COMMENTS, (f'"{source.name}"',)).fetchall())


def test_descriptions_become_comments_follow_the_mapping_and_leave_those_of_others_alone(
    source: Source, sink: Sink
) -> None:
    described = MappedColumn("a", ("a",), ColumnType.TEXT, description="What it is called")
    run(source, sink, typed(described, N), 0)
    told = comments(source, sink)
    assert told["a"] == "What it is called\nMongoDB field a as text."
    assert told["things"].startswith("MongoDB collection Things")
    assert set(told) == {"things", "_id", "a", "n", "_extra", "_bson", "etl_valid_from"}
    with sink.connect() as connection:
        table = sql.Identifier(source.name, "things")
        connection.execute(sql.SQL("comment on table {} is 'Ask Anna'").format(table))
        connection.execute(sql.SQL("comment on column {}.n is null").format(table))
        read_before = connection.execute(sql.SQL("select min(xmin::text) from {}").format(table)).fetchone()

    run(source, sink, typed(A, N, description="All things"), 100)

    told = comments(source, sink)
    assert told["things"] == "Ask Anna"
    assert told["a"] == "MongoDB field a as text."
    assert told["n"] == "MongoDB field n as integer."
    with sink.connect() as connection:
        read_after = connection.execute(sql.SQL("select min(xmin::text) from {}").format(table)).fetchone()
    assert read_after == read_before, "a description is no reason to read a collection again"


def test_a_freeze_of_comments_keeps_no_row_waiting(source: Source, sink: Sink) -> None:
    run(source, sink, typed(A), 0)
    with sink.connect() as connection:
        connection.execute(
            "create function public.refuse() returns event_trigger language plpgsql as "
            "$$ begin raise exception 'DDL is frozen'; end $$"
        )
        connection.execute(
            "create event trigger frozen on ddl_command_start when tag in ('COMMENT') execute function public.refuse()"
        )

    run(source, sink, typed(A, description="All things"), 100)

    assert comments(source, sink)["things"].startswith("MongoDB collection Things")
