"""Marts over identifiers masked with hmac show what those over plain ones show, under other names."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psycopg
import yaml
from pydantic import SecretStr

from replicator_service.core.mapping.loader import load_mapping
from replicator_service.core.mapping.model import Mapping, tables_of
from replicator_service.core.masking.key import MaskKey
from replicator_service.core.masking.rules import Mask, MaskKind
from replicator_service.core.masking.values import replacement
from tests.marts.shop import MAPPING
from tests.support.databases import fresh_sink
from tests.support.doc_blocks import ROOT
from tests.support.replication import replicating
from warehouse_jobs.generator.job import generate
from warehouse_jobs.generator.parameters import Interval, Parameters
from warehouse_jobs.generator.server import MongoSettings

if TYPE_CHECKING:
    from devstack.postgres import PostgresServer
    from tests.support.databases import Sink, Source

AS_OF = datetime(2026, 3, 9, tzinfo=UTC)
WEEK = Interval.of_days(datetime(2026, 3, 2, tzinfo=UTC), 3)
SECRET = "a key that is kept secret"


def masked_mapping() -> Mapping:
    """The shop's mapping with every ``user_id``, ``ticket_id`` and ``_id`` masked."""
    file = yaml.safe_load(MAPPING.read_text(encoding="utf-8"))
    names = {"user_id", "ticket_id"}
    for collection in load_mapping(MAPPING.read_bytes(), name="shop").collections:
        paths = [".".join(column.path) for column in collection.columns if column.name in names]
        file["collections"][collection.collection]["mask"] = dict.fromkeys([*paths, "_id"], "hmac")
        assert tables_of(collection)
    return load_mapping(yaml.safe_dump(file), name="masked")


def figures(sink: Sink, source: Source, mart: str) -> list[tuple[Any, ...]]:
    statement = (
        (ROOT / "sql" / "marts" / f"{mart}.sql").read_text(encoding="utf-8").replace("origin.", f"{source.name}.")
    )
    with psycopg.connect(sink.dsn) as connection:
        connection.execute("set time zone 'UTC'")
        return connection.execute(statement.encode(), {"as_of": AS_OF, "timezone": "UTC"}).fetchall()


def hashed(text: str | None) -> str | None:
    if text is None:
        return None
    value = text.encode()
    mask = replacement(Mask(MaskKind.HMAC), MaskKey(SECRET.encode()))
    _, found = mask(0x02, (len(value) + 1).to_bytes(4, "little") + value + b"\0")
    return found[4:-1].decode()


def test_joins_over_masked_identifiers_give_the_same_figures(
    source: Source, sink: Sink, postgres_server: PostgresServer
) -> None:
    generate(MongoSettings(source.uri, source.name), Parameters.in_total(1_500, WEEK, users=60, products=20), WEEK)
    plain = load_mapping(MAPPING.read_bytes(), name="shop")
    with fresh_sink(postgres_server) as other:
        with replicating(source, sink, plain) as replication:
            replication.catch_up()
        with replicating(source, other, masked_mapping(), mask_key=SecretStr(SECRET)) as replication:
            replication.catch_up()
        users = figures(sink, source, "user_activity")
        assert len(users) > 30
        expected = sorted((hashed(user), *rest) for user, *rest in users)
        assert sorted(figures(other, source, "user_activity")) == expected
        tickets = figures(sink, source, "support_efficiency")
        assert len(tickets) > 5
        assert sorted(figures(other, source, "support_efficiency")) == sorted(
            (hashed(ticket), hashed(user), *rest) for ticket, user, *rest in tickets
        )
