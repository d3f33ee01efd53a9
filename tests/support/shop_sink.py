"""The shop's replicated tables, written by the service's own session with PostgreSQL, without MongoDB."""

from __future__ import annotations

import time
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from replicator_service.app.servers import RealServers
from replicator_service.configuration.settings import Settings
from replicator_service.core.codec import encode_key
from replicator_service.core.events import Operation
from replicator_service.core.mapping.loader import load_mapping
from replicator_service.core.mapping.model import tables_of
from replicator_service.core.position import Position
from replicator_service.core.rows import Encoder
from replicator_service.core.steps import (
    CollectionState,
    Commit,
    EmptyTables,
    Preparation,
    PrepareTables,
    Sweep,
)
from replicator_service.core.transform import compile_transform
from replicator_service.runtime.state.health import Health
from tests.support.row_tables import change

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from replicator_service.core.events import Change
    from replicator_service.core.mapping.model import Mapping
    from tests.support.databases import Sink

MAPPING = Path(__file__).parents[2] / "mappings" / "shop.yml"
_BEGINNING = 1_767_225_600
"""The first of January 2026."""


@cache
def shop_mapping() -> Mapping:
    """The mapping of the shop."""
    return load_mapping(MAPPING.read_text(encoding="utf-8"), name=MAPPING.name)


class ShopSink:
    """A leader of the stream ``origin``. Every call is a commit of its own, a second later than the one before."""

    def __init__(self, sink: Sink) -> None:
        options: dict[str, Any] = {
            "mongo_uri": SecretStr("mongodb://none"),
            "postgres_dsn": SecretStr(sink.dsn),
            "mongo_database": "origin",
        }
        self.leader = RealServers(
            Settings(**options), shop_mapping(), Health("origin", clock=time.monotonic)
        ).open_leader()
        assert self.leader.try_lease()
        self._epoch = self.leader.raise_epoch().epoch
        self._times = count(_BEGINNING)
        self._mappings = {each.collection: each for each in shop_mapping().collections}
        self._transforms = {name: compile_transform(each) for name, each in self._mappings.items()}
        self.leader.begin()
        self.leader.apply(
            PrepareTables(tuple(Preparation(each, CollectionState.STREAMING) for each in self._mappings.values()))
        )
        self._commit(next(self._times))

    def commit(self, *changes: Change) -> None:
        """Write changes of distinct documents."""
        self.leader.begin()
        group = Encoder(self._transforms.__getitem__).encode(sorted(changes, key=lambda each: each.collection))
        self.leader.write(group)
        self._commit(next(self._times))

    def keep_watches(self) -> None:
        """Commit until what is watched now is kept: the first commit learns of it, the second says so."""
        self.commit()
        self.commit()

    def drop(self, collection: str) -> None:
        """Empty the tables of a collection, as its drop does."""
        self.leader.begin()
        self.leader.apply(EmptyTables(collection, tables_of(self._mappings[collection])))
        self._commit(next(self._times))

    def sweep(self, collection: str, keys: Sequence[str]) -> None:
        """Delete documents that a resync has not found."""
        self.leader.begin()
        self.leader.apply(Sweep(collection, tables_of(self._mappings[collection]), tuple(keys), keys[-1]))
        self._commit(next(self._times))

    def put(self, collection: str, document: dict[str, Any], operation: Operation = Operation.UPDATE) -> Change:
        """A document as it is now."""
        return change(operation, collection, document, at=_BEGINNING << 32)

    def delete(self, collection: str, key: object) -> Change:
        """A document that is gone."""
        return change(Operation.DELETE, collection, {"_id": key}, at=_BEGINNING << 32)

    def key(self, identity: object) -> str:
        """The text of an ``_id``."""
        return encode_key(identity)

    def _commit(self, seconds: int) -> None:
        self.leader.commit(Commit(Position({"_data": str(seconds)}, seconds << 32), None), self._epoch)


@contextmanager
def shop_sink(sink: Sink) -> Iterator[ShopSink]:
    """The session, for the length of a block."""
    opened = ShopSink(sink)
    try:
        yield opened
    finally:
        opened.leader.close()
