"""Times full and incremental loads of both marts: without changes, and with 1 % of the users changed.

    python -m benchmarks.marts                 # 200,000 users, 2 million sessions, 10 million events
    python -m benchmarks.marts --scale 0.05    # a twentieth of that
    python -m benchmarks.marts --dbt ~/dbt/bin/dbt

The changed keys are written into the journal by hand; what the service pays for it, ``benchmarks.journal`` measures.

The data are made in PostgreSQL by generate_series, on a temporary server or on the database of ``--dsn`` (an empty
one). With ``--dbt`` the same selects are also kept by ``dbt snapshot`` (strategy check, all columns) in the same run.
"""

from __future__ import annotations

import argparse
import json
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from time import perf_counter, time
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from benchmarks.dbt_snapshot import DbtSnapshots
from benchmarks.results import Bounds
from devstack.postgres import PostgresServer
from replicator_service.core.mapping.loader import load_mapping
from replicator_service.core.mapping.model import tables_of
from replicator_service.sink.control.migrations import migrate
from warehouse_jobs.marts import load, mart_names
from warehouse_jobs.marts.server import DEFAULT_WORK_MEM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.lab import Lab
    from benchmarks.results import Results

    Connection = psycopg.Connection[tuple[object, ...]]

MAPPING = Path(__file__).parents[1] / "mappings" / "shop.yml"
AS_OF = datetime(2026, 11, 1, tzinfo=UTC)
USERS = 200_000
BOUNDS = Bounds(0.2, 0.1, at_most=True)
TICK = timedelta(microseconds=1)
"""Loads follow each other this closely, so that the last month does not move on between them."""

# Popularity is skewed by the square of a random number: the first tenth of the users makes a third of the traffic.
A_USER = """
    create function pg_temp.a_user(users integer) returns text
    return 'user_' || (random() ^ 2 * users)::integer
"""
A_TIME = """
    create function pg_temp.a_time() returns timestamptz
    return timestamptz '2026-11-01 00:00:00+00' - random() * interval '200 days'
"""
FILL = {
    "2 million sessions": """
        insert into origin.user_sessions (_id, session_id, user_id, start_time, end_time, pages_visited)
        select
            md5('s' || n), 'session_' || n, pg_temp.a_user(%(users)s), started_at, started_at + interval '10 minutes',
            array(select '/product/' || page from generate_series(1, 1 + n %% 7) as page)
        from (select n, pg_temp.a_time() as started_at from generate_series(1, %(users)s * 10) as n) as session
    """,
    "10 million events": """
        insert into origin.event_logs (_id, event_id, timestamp, event_type, user_id, ip_address, status)
        select
            md5('e' || n), 'event_' || n, pg_temp.a_time(),
            (array['login', 'page_view', 'order_placed', 'logout', 'add_to_cart'])[1 + n %% 5],
            pg_temp.a_user(%(users)s), '10.0.0.1', 'ok'
        from generate_series(1, %(users)s * 50) as n
    """,
    "1 million search queries": """
        insert into origin.search_queries (_id, query_id, user_id, query_text, timestamp, category)
        select
            md5('q' || n), 'query_' || n, pg_temp.a_user(%(users)s), 'something', pg_temp.a_time(),
            'category_' || n %% 13
        from generate_series(1, %(users)s * 5) as n
    """,
    "400,000 reviews": """
        insert into origin.moderation_queue (_id, review_id, user_id, product_id, rating, submitted_at)
        select
            md5('r' || n), 'review_' || n, pg_temp.a_user(%(users)s), 'product_' || n %% 1000, 1 + n %% 5,
            pg_temp.a_time()
        from generate_series(1, %(users)s * 2) as n
    """,
    "200,000 recommendations": """
        insert into origin.user_recommendations (_id, user_id, last_updated)
        select md5('u' || n), 'user_' || n, pg_temp.a_time()
        from generate_series(1, %(users)s) as n
    """,
    "200,000 tickets": """
        insert into origin.support_tickets (_id, ticket_id, user_id, status, issue_type, updated_at)
        select md5('t' || n), 'ticket_' || n, pg_temp.a_user(%(users)s), 'open', 'payment', pg_temp.a_time()
        from generate_series(1, %(users)s) as n
    """,
    "1 million messages": """
        insert into origin.support_ticket_messages (_id, _ordinal, ticket_id, sender, message, timestamp)
        select
            md5('t' || n), place, 'ticket_' || n, case when random() < 0.5 then 'user' else 'support' end, 'Hello',
            timestamptz '2026-10-01 00:00:00+00' + place * interval '17 minutes' + random() * interval '20 minutes'
        from generate_series(1, %(users)s) as n
        cross join generate_series(0, 4) as place
    """,
}

# Every hundredth user places an order, every hundredth ticket is closed.
CHANGE = (
    """
    insert into origin.event_logs (_id, timestamp, event_type, user_id)
    select md5('new' || n), timestamptz '2026-10-31 12:00:00+00', 'order_placed', 'user_' || n
    from generate_series(1, %(users)s, 100) as n
    """,
    """
    update origin.support_tickets set status = 'closed'
    where _id in (select md5('t' || n) from generate_series(1, %(users)s, 100) as n)
    """,
)


JOURNAL = """
    insert into replicator.changed_key (reader, stream, table_name, key_column, key, cluster_time)
    select 'mart.user_activity', 'origin', 'event_logs', 'user_id', 'user_' || n, 0
    from generate_series(1, %(users)s, 100) as n
    union all
    select 'mart.support_efficiency', 'origin', 'support_tickets', 'ticket_id', 'ticket_' || n, 0
    from generate_series(1, %(users)s, 100) as n
    cross join generate_series(1, 2)
"""


def main() -> None:
    """Prepare the data, time the loads and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full amount of data")
    parser.add_argument("--dsn", help="an empty database; a temporary server by default")
    parser.add_argument("--work-mem", default=DEFAULT_WORK_MEM, help="work_mem of the loads")
    parser.add_argument("--dbt", type=Path, help="the dbt executable (dbt-postgres) to compare with")
    parser.add_argument("--json", action="store_true", help="print one JSON document at the end")
    options = parser.parse_args()
    users = max(int(USERS * options.scale), 100)
    with _database(options.dsn) as dsn:
        _prepare(dsn, users)
        seconds = {"loader": _time_loader(dsn, users, options.work_mem)}
        if options.dbt:
            # The same three steps again, with another change of the same size.
            seconds["dbt snapshot"] = _time_dbt(dsn, users, options.dbt)
    if options.json:
        print(json.dumps({"users": users, "seconds": seconds}, indent=2))


def incremental_marts(lab: Lab, results: Results, scale: float, *, users: int = USERS // 10) -> None:
    """What an incremental load of both marts takes of a full one, in a database of its own."""
    database = sql.Identifier("marts")
    lab.connection.execute(sql.SQL("drop database if exists {} with (force)").format(database))
    lab.connection.execute(sql.SQL("create database {}").format(database))
    dsn = lab.stack.postgres.dsn("marts")
    number = max(int(users * scale), 100)
    _prepare(dsn, number, lab.say)
    seconds = _time_loader(dsn, number, DEFAULT_WORK_MEM, lab.say)
    section = f"marts of {number * 50:,} events"
    full = seconds["1 % changed, full"]
    results.add(section, "full load, 1 % of the users changed", full, "s")
    # With fewer rows what a load costs whatever it does weighs more.
    bounds = BOUNDS if number >= USERS else None
    results.add(section, "incremental load / full, 1 % of the users changed", seconds["1 % changed"] / full, "", bounds)
    results.add(section, "incremental load / full, nothing changed", seconds["unchanged"] / full, "")
    lab.connection.execute(sql.SQL("drop database {} with (force)").format(database))


@contextmanager
def _database(dsn: str | None) -> Iterator[str]:
    if dsn:
        yield dsn
        return
    settings = {"shared_buffers": "512MB", "max_wal_size": "8GB", "synchronous_commit": "off"}
    with PostgresServer.start(settings=settings) as server:
        yield server.dsn()


def _prepare(dsn: str, users: int, say: Callable[[str], object] = print) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("select setseed(0.42)")
        _create_tables(connection)
        migrate(connection)
        connection.execute(
            "insert into replicator.checkpoint (stream, cluster_time) values ('origin', %s)", [int(time()) << 32]
        )
        connection.execute(A_USER)
        connection.execute(A_TIME)
        for what, statement in FILL.items():
            filling = partial(connection.execute, statement, {"users": users})
            _timed(f"prepare: {what} (at full scale)", filling, say)
        _timed("prepare: indexes and vacuum", lambda: _settle(connection), say)


def _create_tables(connection: Connection) -> None:
    connection.execute("create schema origin")
    for collection in load_mapping(MAPPING.read_text(encoding="utf-8"), name=MAPPING.name).collections:
        for table in tables_of(collection):
            columns = [sql.SQL("{} {}").format(sql.Identifier(c.name), sql.SQL(c.type)) for c in table.columns]
            key = sql.SQL(", ").join(map(sql.Identifier, table.primary_key))
            connection.execute(
                sql.SQL("create table {} ({}, primary key ({}))").format(
                    sql.Identifier("origin", table.name), sql.SQL(", ").join(columns), key
                )
            )


def _settle(connection: Connection) -> None:
    for collection in load_mapping(MAPPING.read_text(encoding="utf-8"), name=MAPPING.name).collections:
        for table in tables_of(collection):
            for index in table.indexes:
                columns = sql.SQL(", ").join(map(sql.Identifier, index))
                connection.execute(
                    sql.SQL("create index on {} ({})").format(sql.Identifier("origin", table.name), columns)
                )
    connection.execute("vacuum analyze")


def _change(dsn: str, users: int, name: str) -> None:
    """Change 1 % of users and tickets, each time another way."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in CHANGE:
            text = statement.replace("'new'", f"'{name}'").replace("'closed'", f"'{name}'")
            connection.execute(text.encode(), {"users": users})
        connection.execute(JOURNAL, {"users": users})


def _time_loader(dsn: str, users: int, work_mem: str, say: Callable[[str], object] = print) -> dict[str, float]:
    seconds: dict[str, float] = {}

    def load_all(what: str, *, full: bool = False) -> None:
        say(f"loader: {what}")
        total = 0.0
        for name in mart_names():
            result = load(dsn, name, AS_OF + len(seconds) * TICK, work_mem=work_mem, full=full, max_lag=None)
            total += result.seconds
            say(
                f"  {name}: {result.seconds:.2f} s, {result.mode}, {result.rows:,} rows: {result.inserted:,} inserted, "
                f"{result.versioned:,} versioned, {result.unchanged:,} unchanged"
            )
        seconds[what] = total

    load_all("first")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("update replicator.key_watch set is_kept = true")
    load_all("unchanged, full", full=True)
    _change(dsn, users, "one")
    load_all("1 % changed, full", full=True)
    load_all("unchanged")
    _change(dsn, users, "two")
    load_all("1 % changed")
    share = seconds["1 % changed"] / seconds["1 % changed, full"]
    say(f"incremental / full, 1 % of the users changed: {share:.2f} (of 10 million events at most {BOUNDS.must:.2f})")
    return seconds


def _time_dbt(dsn: str, users: int, dbt: Path) -> dict[str, float]:
    with DbtSnapshots.project(dbt, dsn, AS_OF) as project:
        seconds = {"first": project.run(), "unchanged": project.run()}
        _change(dsn, users, "three")
        seconds["changed"] = project.run()
    for step, taken in seconds.items():
        print(f"dbt snapshot, {step}: {taken:.2f} s")
    return seconds


def _timed(what: str, action: Callable[[], object], say: Callable[[str], object]) -> None:
    started = perf_counter()
    action()
    say(f"{what}: {perf_counter() - started:.2f} s")


if __name__ == "__main__":
    main()
