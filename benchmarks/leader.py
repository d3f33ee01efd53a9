"""The leader's side of PostgreSQL alone, in this process: what one commit costs, without anybody who reads."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Self

import bson
from psycopg import sql

from replicator_service.core.codec import encode_key
from replicator_service.core.dead_letter_limit import DeadLetterLimit
from replicator_service.core.events import Change, Operation
from replicator_service.core.failpoints import Failpoints
from replicator_service.core.mapping.model import tables_of
from replicator_service.core.position import Position
from replicator_service.core.replies import Reply
from replicator_service.core.rows import Encoder
from replicator_service.core.steps import Commit
from replicator_service.core.transform import compile_transform
from replicator_service.pipeline.writer import Writer
from replicator_service.sink.connect.connection import connect
from replicator_service.sink.control.checkpoint import raise_epoch
from replicator_service.sink.control.migrations import migrate
from replicator_service.sink.write.session import PostgresLeader
from replicator_service.sink.write.tables import ensure_schema, ensure_tables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from replicator_service.core.mapping.model import CollectionMapping

_STREAM = "benchmark_leader"
_TIME = 1_700_000_000 << 32


class Leader:
    """Leads a stream of its own, whose tables are dropped at the end."""

    def __init__(self, dsn: str, mappings: Sequence[CollectionMapping]) -> None:
        self._connection = connect(dsn, application_name="benchmark", durable=False)
        transforms = {each.collection: compile_transform(each) for each in mappings}
        self._encoder = Encoder(transforms.__getitem__)
        migrate(self._connection)
        ensure_schema(self._connection, _STREAM)
        ensure_tables(self._connection, _STREAM, [table for each in mappings for table in tables_of(each)])
        epoch = raise_epoch(self._connection, _STREAM).epoch
        session = PostgresLeader(self._connection, _STREAM)
        self._writer = Writer(session, epoch=epoch, limit=DeadLetterLimit(), failpoints=Failpoints())
        self._number = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with closing(self._connection):
            self._connection.execute(sql.SQL("drop schema {} cascade").format(sql.Identifier(_STREAM)))

    def commit(self, documents: Mapping[str, int]) -> None:
        """One transaction that updates so many documents of each collection."""
        self._number += 1
        changes = [
            _update(collection, {"_id": number, "version": self._number, "text": "some text"})
            for collection, count in documents.items()
            for number in range(count)
        ]
        self._writer.apply(self._encoder.encode(changes))
        self._writer.apply(Commit(Position({"_data": ""}, _TIME + self._number), None))

    def postgres_cpu(self) -> float:
        """Seconds that this session's server process has been on a processor."""
        pid = self._connection.info.backend_pid
        return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1e9


def _update(collection: str, document: dict[str, object]) -> Change:
    key = document["_id"]
    assert isinstance(key, int)
    reply = Reply(bson.encode({"0": document}))
    return Change(collection, encode_key(key), Operation.UPDATE, _TIME, reply, 0, key)
