"""The service inside a test: started, crashed and drained on demand, and compared with MongoDB."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import bson
import psycopg
from bson import json_util
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from psycopg import sql
from pydantic import SecretStr

from replicator_service.app.service import Service, limits_of
from replicator_service.configuration.settings import Settings
from replicator_service.core.codec import CODEC_OPTIONS
from replicator_service.core.codec.key import encode_key
from replicator_service.core.failpoints import Failpoints, Window
from replicator_service.core.mapping.model import Mapping
from replicator_service.core.naming import schema_name
from replicator_service.core.position import to_cluster_time, to_timestamp
from replicator_service.runtime.state.health import Health, Report, State
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from replicator_service.pipeline.observer import Committed
    from replicator_service.pipeline.term import Limits
    from tests.support.databases import Sink, Source

RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)


class Crash(BaseException):
    """Kills the service at a failpoint. Not an `Exception`: nothing in the service may survive it."""


class CrashPoints(Failpoints):
    """Crashes when a window is passed for the n-th time."""

    def __init__(self) -> None:
        self._armed: dict[Window, int] = {}
        self.crashed = threading.Event()

    def arm(self, window: Window, passes: int = 1) -> None:
        """Crash at the n-th pass from now."""
        self._armed[window] = passes

    def disarm(self) -> None:
        """Let everything pass."""
        self._armed.clear()

    def reach(self, window: Window) -> None:
        """Count, and crash when it is time."""
        left = self._armed.get(window)
        if left is None:
            return
        if left > 1:
            self._armed[window] = left - 1
            return
        del self._armed[window]
        self.crashed.set()
        raise Crash(window)


@dataclass
class Lines:
    """A log that keeps its lines."""

    lines: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    def info(self, event: str, **fields: object) -> None:
        self.lines.append((event, fields))

    def warning(self, event: str, **fields: object) -> None:
        self.lines.append((event, fields))


def quick(limits: Limits) -> Limits:
    """The same bounds for a service that looks around more often: most of a test's time is waiting for that."""
    return replace(limits, poll_wait_ms=100, pace=replace(limits.pace, heartbeat_seconds=0.1, request_seconds=0.1))


class Replication:
    """One service over a source and a sink, as often as the test starts it."""

    def __init__(
        self,
        source: Source,
        sink: Sink,
        mapping: Mapping | None = None,
        *,
        limits: Limits | None = None,
        mongo_uri: str | None = None,
        postgres_dsn: str | None = None,
        on_commit: Callable[[Committed], None] = lambda _: None,
        **settings: Any,
    ) -> None:
        self.source = source
        self.sink = sink
        self.mapping = mapping or Mapping()
        self.settings = Settings(
            mongo_uri=SecretStr(mongo_uri or source.uri),
            postgres_dsn=SecretStr(postgres_dsn or sink.dsn),
            mongo_database=source.name,
            **settings,
        )
        self.limits = limits or quick(limits_of(self.settings))
        self._on_commit = on_commit
        self.failpoints = CrashPoints()
        self.log = Lines()
        self.health = self._new_health()
        self.error: BaseException | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start a service; the previous one must have ended."""
        assert self._thread is None
        self.error = None
        self._stopping = threading.Event()
        self.health = self._new_health()
        service = Service(
            self.settings,
            self.mapping,
            health=self.health,
            log=self.log,
            failpoints=self.failpoints,
            limits=self.limits,
        )
        self._thread = threading.Thread(target=self._run, args=(service, self._stopping), daemon=True)
        self._thread.start()

    def _run(self, service: Service, stopping: threading.Event) -> None:
        try:
            service.run(stopping)
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            self.error = error

    def _new_health(self) -> Health:
        return Health(self.source.name, clock=time.monotonic, on_commit=self._on_commit)

    def stop(self, timeout: float = 60.0) -> None:
        """Drain and stop. Raises what the service ended with, a crash that the test asked for aside."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._stopping.set()
        thread.join(timeout)
        assert not thread.is_alive(), "the service did not stop in time"
        if self.error is not None and not isinstance(self.error, Crash):
            raise self.error

    def join(self, timeout: float = 60.0) -> BaseException | None:
        """Wait for a service that ends by itself, and give what it ended with."""
        thread, self._thread = self._thread, None
        assert thread is not None
        thread.join(timeout)
        assert not thread.is_alive(), "the service did not end by itself"
        return self.error

    @property
    def is_running(self) -> bool:
        """Whether the service has neither crashed nor been stopped."""
        return self._thread is not None and self._thread.is_alive()

    def restart_after_crash(self) -> None:
        """Start again if the service has crashed, or is about to."""
        thread = self._thread
        if thread is None or not self.failpoints.crashed.is_set():
            return
        thread.join(20.0)
        self.stop()
        self.failpoints.crashed.clear()
        self.start()

    def operation_time(self) -> int:
        """The source's present."""
        return to_cluster_time(self.source.db.command("ping")["operationTime"])

    def catch_up(self, timeout: float = 60.0) -> Report:
        """Wait until the sink shows everything that has happened so far, exactly and completely."""
        until = self.operation_time()
        # An idle stream only moves with the oplog: give it something to pass.
        self.source.client["replication_tests"]["clock"].insert_one({})

        def is_there() -> Report | None:
            self.restart_after_crash()
            if self._thread is not None and not self._thread.is_alive():
                raise AssertionError(f"the service has ended: {self.error!r}") from self.error
            report = self.health.report()
            reached = report.cluster_time is not None and report.cluster_time >= until
            return report if reached and report.state is State.STREAMING else None

        report = wait_until(is_there, timeout=timeout, message=lambda: f"catching up ({self.health.report()})")
        assert report is not None
        return report


@contextmanager
def replicating(source: Source, sink: Sink, mapping: Mapping | None = None, **options: Any) -> Iterator[Replication]:
    """A running service that is stopped at the end of the block."""
    replication = Replication(source, sink, mapping, **options)
    replication.start()
    try:
        yield replication
    finally:
        replication.stop()


def documents_at(source: Source, collection: str, cluster_time: int | None = None) -> dict[str, bytes]:
    """All documents of a collection by key, as BSON; now, or at a cluster time."""
    command: dict[str, Any] = {"find": collection, "batchSize": 100_000}
    if cluster_time is not None:
        command["readConcern"] = {"level": "snapshot", "atClusterTime": to_timestamp(cluster_time)}
    reply = source.db.command(command, codec_options=RAW)
    found = list(reply["cursor"]["firstBatch"])
    while reply["cursor"]["id"]:
        more = {"getMore": bson.Int64(reply["cursor"]["id"]), "collection": collection}
        reply = source.db.command(more, codec_options=RAW)
        found += reply["cursor"]["nextBatch"]
    return {encode_key(bson.decode(each.raw, CODEC_OPTIONS)["_id"]): bytes(each.raw) for each in found}


def rows_of(
    connection: psycopg.Connection[Any], source: Source, table: str, columns: Sequence[str]
) -> list[tuple[Any, ...]]:
    """Rows of a replicated table in order of their key."""
    query = sql.SQL("select {} from {} order by 1").format(
        sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for name in columns),
        sql.Identifier(schema_name(source.name), table),
    )
    return connection.execute(query).fetchall()


def decoded(document: bytes) -> dict[str, Any]:
    """A document with every difference of type kept."""
    return bson.decode(document, CODEC_OPTIONS)


def document_of_row(doc: str, original: bytes | None) -> dict[str, Any]:
    """The document that a row of a document table stands for."""
    if original is not None:
        return decoded(original)
    parsed: dict[str, Any] = json_util.loads(
        doc, json_options=json_util.JSONOptions(tz_aware=False, uuid_representation=0, datetime_conversion=4)
    )
    return decoded(bson.encode(parsed))


def assert_same_documents(source: Source, sink: Sink, collection: str, table: str | None = None) -> int:
    """The document table of a collection holds exactly its documents. Returns their number."""
    expected = documents_at(source, collection)
    with sink.connect() as connection:
        query = sql.SQL("select _id, doc::text, _bson from {}").format(
            sql.Identifier(schema_name(source.name), table or collection)
        )
        rows = connection.execute(query).fetchall()
    found = {key: document_of_row(doc, original) for key, doc, original in rows}
    assert found.keys() == expected.keys()
    for key, document in expected.items():
        assert found[key] == decoded(document), key
    return len(found)
