"""Servers that are far away: how late changes are, counted in round trips, and how often one commit waits."""

from __future__ import annotations

from psycopg.conninfo import make_conninfo

from benchmarks.lab import MAPPING, Lab
from benchmarks.latency import SPREAD, measure_latency, percentile
from benchmarks.leader import Leader
from benchmarks.results import Bounds, Results
from devstack.ports import LOOPBACK
from devstack.proxy import TcpProxy
from replicator_service.core.mapping.model import DocumentCollection
from replicator_service.core.naming import schema_name

MILLISECONDS = (2, 10, 50)
RATE = 100.0
SECONDS = 10.0

_BOUNDS = {("PostgreSQL", 10): Bounds(20, 8, at_most=True)}


def far_servers(lab: Lab, results: Results, scale: float) -> None:
    """100 changes a second over five collections, with one of the servers at several distances."""
    for server in ("PostgreSQL", "MongoDB"):
        for milliseconds in MILLISECONDS:
            _far(lab, results, server, milliseconds, max(4.0, SECONDS * min(1.0, scale)))


def _far(lab: Lab, results: Results, server: str, milliseconds: int, seconds: float) -> None:
    section = f"lag at {RATE:.0f} changes/s over {len(SPREAD)} collections"
    source = f"far_{server.lower()}_{milliseconds}"
    database = lab.fresh_source(source)
    for collection, _, _ in SPREAD:
        database.create_collection(collection)
    target = lab.stack.postgres.port if server == "PostgreSQL" else lab.stack.mongo.port
    lab.say(f"{server} {milliseconds} ms away")
    with TcpProxy(target, round_trip=milliseconds / 1e3) as proxy:
        dsn = make_conninfo(lab.dsn, host=LOOPBACK, port=proxy.port) if server == "PostgreSQL" else None
        # A driver that discovers the replica set would go to the member itself.
        member = lab.stack.mongo.members[0]
        uri = member.uri.replace(f":{member.port}", f":{proxy.port}") if server == "MongoDB" else None
        with lab.service(source, mapping=MAPPING, mongo_uri=uri, dsn=dsn) as process:
            lab.wait(process, source, lambda p: p.cluster_time > 0 and not p.is_snapshotting)
            measured = measure_latency(
                lab.stack.mongo.uri,
                source,
                lab.connection,
                schema_name(source),
                rate=RATE,
                seconds=seconds,
                spread=True,
            )
    for share in (0.5, 0.99):
        lag = percentile(measured.from_acknowledgement, share) * 1e3
        bounds = _BOUNDS.get((server, milliseconds)) if share == 0.5 else None
        name = f"{server} {milliseconds} ms away, p{share * 100:.0f}"
        results.add(section, name, lag / milliseconds, "round trips", bounds)
    lab.client.drop_database(source)


def commits(lab: Lab, results: Results, _scale: float) -> None:
    """The leader's whole commit, counted on the wire, and what PostgreSQL spends on it where there are many tables."""
    section = "one commit of the leader"
    few = [_documents(f"c{number}") for number in range(5)]
    with (
        TcpProxy(lab.stack.postgres.port) as proxy,
        Leader(make_conninfo(lab.dsn, host=LOOPBACK, port=proxy.port), few) as leader,
    ):
        leader.commit({each.collection: 10 for each in few})
        before = proxy.round_trips
        leader.commit({each.collection: 1 for each in few})
        results.add(
            section, "over 5 collections", proxy.round_trips - before, "round trips", Bounds(8, 3, at_most=True)
        )
    many = [_documents(f"c{number}") for number in range(200)]
    with Leader(lab.dsn, many) as leader:
        leader.commit({each.collection: 10 for each in many})
        for _ in range(20):
            leader.commit({"c0": 1})
        spent = leader.postgres_cpu()
        for _ in range(200):
            leader.commit({"c0": 1})
        each = (leader.postgres_cpu() - spent) / 200
    name = "CPU of PostgreSQL, one of 200 tables that were used"
    results.add(section, name, each * 1e3, "ms", Bounds(1, 0.3, at_most=True))


def _documents(name: str) -> DocumentCollection:
    return DocumentCollection(name, name)
