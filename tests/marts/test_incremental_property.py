"""Whatever happens to the documents and whenever marts are loaded, incremental loads publish what full ones would."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from replicator_service.core.events import Operation
from tests.marts.shop import at
from tests.marts.test_incremental import Loads
from tests.support.shop_sink import ShopSink, shop_sink
from warehouse_jobs.marts import UndoRefusedError, undo
from warehouse_jobs.marts.results import Mode

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    from tests.support.databases import Sink

    Connection = psycopg.Connection[tuple[object, ...]]

TABLES = (
    "user_sessions",
    "event_logs",
    "support_tickets",
    "support_ticket_messages",
    "user_recommendations",
    "moderation_queue",
    "search_queries",
)
ANYTHING = ["mass_close", "turned_null"]

users = st.sampled_from(["a", "b", "c", None, 7, ["no text"]])
ids = st.sampled_from([1, 2, "1"])
times = st.one_of(
    st.integers(-45, 45).map(lambda days: at("2026-05-01") + timedelta(days=days, hours=days % 24)),
    st.sampled_from(["2026-05-01", None]),
)
messages = st.lists(
    st.fixed_dictionaries({"sender": st.sampled_from(["user", "support", 1]), "timestamp": times}), max_size=3
)
DOCUMENTS = st.one_of(
    st.tuples(
        st.just("EventLogs"),
        st.fixed_dictionaries(
            {
                "_id": ids,
                "timestamp": times,
                "event_type": st.sampled_from(["login", "order_placed"]),
                "details": st.fixed_dictionaries({"user_id": users}),
            }
        ),
    ),
    st.tuples(
        st.just("UserSessions"),
        st.fixed_dictionaries(
            {
                "_id": ids,
                "session_id": st.sampled_from(["s", "t"]),
                "user_id": users,
                "start_time": times,
                "pages_visited": st.lists(st.just("/"), max_size=2),
            }
        ),
    ),
    st.tuples(
        st.just("SupportTickets"),
        st.fixed_dictionaries(
            {
                "_id": ids,
                "ticket_id": st.sampled_from(["t1", "t2", None]),
                "user_id": users,
                "updated_at": times,
                "messages": messages,
            }
        ),
    ),
    st.tuples(
        st.just("SearchQueries"),
        st.fixed_dictionaries(
            {"_id": ids, "user_id": users, "category": st.sampled_from(["x", "y", None]), "timestamp": times}
        ),
    ),
    st.tuples(
        st.sampled_from(["ModerationQueue", "UserRecommendations"]),
        st.fixed_dictionaries({"_id": ids, "user_id": users}),
    ),
)
COLLECTIONS = st.sampled_from(
    ["EventLogs", "UserSessions", "SupportTickets", "SearchQueries", "ModerationQueue", "UserRecommendations"]
)
STEPS = st.one_of(
    st.tuples(st.just("put"), DOCUMENTS),
    st.tuples(st.just("put"), DOCUMENTS),
    st.tuples(st.just("read"), DOCUMENTS),
    st.tuples(st.just("delete"), st.tuples(COLLECTIONS, ids)),
    st.tuples(st.just("sweep"), st.tuples(COLLECTIONS, ids)),
    st.tuples(st.just("drop"), COLLECTIONS),
    st.tuples(st.just("load"), st.sampled_from([timedelta(seconds=1), timedelta(days=1), timedelta(days=12)])),
    st.tuples(st.just("load"), st.sampled_from([timedelta(seconds=1), timedelta(days=1), timedelta(days=12)])),
    st.tuples(st.just("undo"), st.none()),
)


@pytest.fixture(scope="module")
def modes() -> Iterator[Counter[Mode]]:
    """How often which mode was seen: the property says nothing unless most loads are incremental."""
    seen: Counter[Mode] = Counter()
    yield seen
    assert seen[Mode.INCREMENTAL] > 0.2 * seen.total()
    assert seen[Mode.PROOF]


@pytest.fixture
def written(sink: Sink) -> Iterator[ShopSink]:
    with shop_sink(sink) as opened:
        yield opened


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(history=st.lists(STEPS, min_size=6, max_size=25))
def test_incremental_loads_publish_what_full_ones_would(
    written: ShopSink, connection: Connection, dsn: str, modes: Counter[Mode], history: list[tuple[str, Any]]
) -> None:
    connection.execute("drop schema if exists mart cascade")
    connection.execute("delete from replicator.key_watch; delete from replicator.changed_key")
    connection.execute(sql.SQL("truncate {}").format(sql.SQL(", ").join(sql.Identifier("origin", t) for t in TABLES)))
    marts = [Loads(dsn, name) for name in ("user_activity", "support_efficiency")]
    for mart in marts:
        mart.load()
    written.keep_watches()
    for mart in marts:
        mart.load()

    for step, what in [*history, ("load", timedelta(seconds=1))]:
        if step == "load":
            for mart in marts:
                modes[mart.load(later=what, accept=ANYTHING).mode] += 1
        elif step == "undo":
            with suppress(UndoRefusedError):
                undo(dsn, marts[0].mart)
        else:
            happen(written, step, what)


def happen(written: ShopSink, step: str, what: Any) -> None:
    """Let the service commit one change."""
    match step:
        case "put":
            written.commit(written.put(*what))
        case "read":
            collection, document = what
            written.commit(written.put(collection, document, Operation.READ))
        case "delete":
            written.commit(written.delete(*what))
        case "sweep":
            collection, identity = what
            written.sweep(collection, [written.key(identity)])
        case _:
            written.drop(what)
