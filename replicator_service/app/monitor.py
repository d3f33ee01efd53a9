"""Looks at both servers while the service runs, on connections of its own, and lives through either being away.

Each server has its own thread: one that hangs must not hide what the other says. What they see goes into a
:class:`Watch`; nothing here decides anything.
"""

from __future__ import annotations

import threading
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from replicator_service.core.errors import ReplicatorError
from replicator_service.core.mapping.model import Mapping
from replicator_service.core.naming import schema_name
from replicator_service.core.overview import Interference, SourceView
from replicator_service.sink.check.table_requirements import interference
from replicator_service.sink.check.tables_wanted import wanted_tables
from replicator_service.sink.connect.pool import Pool, checked_out, make_pool
from replicator_service.sink.overview.stream import is_writing, read_overview
from replicator_service.source.connect.connection import Client, connect, disconnect, read_only_database
from replicator_service.source.connect.route import Route, preference
from replicator_service.source.read.oplog import oplog_start
from replicator_service.source.read.server_times import operation_time, unsupported_collections

if TYPE_CHECKING:
    from replicator_service.configuration.settings import Settings
    from replicator_service.runtime.judgement.service_view import Watch
    from replicator_service.runtime.log.logging import Logger
    from replicator_service.sink.connect.connection import Connection

SOURCE_SECONDS = 1.0
SINK_SECONDS = 2.0
SLOW_TURNS = 30
"""The oldest entry of the oplog and the list of collections are asked for once in so many turns."""

INTERFERENCE_TURNS = 30
"""Others change the tables seldom: they are looked at once in so many turns."""

_STOP_SECONDS = 0.5


class Monitor:
    """Two threads that poll until :meth:`stop`. Servers may be away from the beginning."""

    def __init__(self, settings: Settings, mapping: Mapping, watch: Watch, *, log: Logger) -> None:
        self._settings = settings
        self._watch = watch
        self._log = log
        self._stopping = threading.Event()
        self._source = SourceWatch(settings, watch)
        self._sink = SinkWatch(settings, watch, mapping)
        self._threads = [
            threading.Thread(target=self._run, args=(self._source, SOURCE_SECONDS), name="source monitor"),
            threading.Thread(target=self._run, args=(self._sink, SINK_SECONDS), name="sink monitor"),
        ]

    def start(self) -> None:
        """Begin to poll."""
        for thread in self._threads:
            thread.daemon = True
            thread.start()

    def stop(self) -> None:
        """Stop polling; does not wait for a server that hangs. Idempotent."""
        self._stopping.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(_STOP_SECONDS)

    def _run(self, watched: SourceWatch | SinkWatch, seconds: float) -> None:
        # The thread that opens connections is the one that closes them: one that is late opens none behind a close.
        with closing(watched):
            while not self._stopping.is_set():
                try:
                    watched.poll()
                except Exception as error:  # noqa: BLE001 - watching goes on whatever happens
                    self._log.warning("monitor failed", exc_info=error)
                self._stopping.wait(seconds)


class SourceWatch:
    """Asks MongoDB how late it is, and now and then what it has."""

    def __init__(self, settings: Settings, watch: Watch) -> None:
        self._settings = settings
        self._watch = watch
        self._connection: tuple[Client, Route] | None = None
        self._turn = 0
        self._oldest: int | None = None
        self._is_whole = False
        self._unsupported: dict[str, str] = {}

    def poll(self) -> None:
        """Ask once."""
        try:
            client, route = self._connected()
            database = read_only_database(client, self._settings.mongo_database)
            now = operation_time(database)
            if self._turn % SLOW_TURNS == 0:
                self._poll_privileged(client, route)
            self._turn += 1
        except ReplicatorError as error:
            self._turn = 0
            self._watch.source_missed(error.message)
            # A client keeps the certificates that it was made with: the next one reads the files again.
            self.close()
            return
        self._watch.source_seen(SourceView(now, self._oldest, self._unsupported, self._is_whole))

    def close(self) -> None:
        """Close the connections."""
        if self._connection is not None:
            client, _ = self._connection
            self._connection = None
            disconnect(client)

    def _poll_privileged(self, client: Client, route: Route) -> None:
        """What needs privileges that the user may not have."""
        try:
            self._oldest, self._is_whole = oplog_start(client, route.member())
        except ReplicatorError:
            self._oldest, self._is_whole = None, False
        try:
            self._unsupported = unsupported_collections(read_only_database(client, self._settings.mongo_database))
        except ReplicatorError:
            self._unsupported = {}

    def _connected(self) -> tuple[Client, Route]:
        """The client, and which member it reads from: a route leads through its own client alone."""
        if self._connection is None:
            uri = self._settings.mongo_uri.get_secret_value()
            preferred = preference(uri, self._settings.read_from)
            client = connect(uri, app_name="replicator monitor", server_selection_ms=2_000)
            self._connection = client, Route(client, preferred)
        return self._connection


class SinkWatch:
    """Asks PostgreSQL what the control tables say, and now and then what others have hung on the replicated ones."""

    def __init__(self, settings: Settings, watch: Watch, mapping: Mapping | None = None) -> None:
        self._settings = settings
        self._watch = watch
        self._mapping = mapping or Mapping()
        self._pool: Pool | None = None
        self._turn = 0
        self._interference: tuple[Interference, ...] = ()

    def poll(self) -> None:
        """Ask once."""
        stream = self._settings.mongo_database
        try:
            with checked_out(self._opened()) as connection:
                # First and by itself: it needs no table, so no lock of somebody's can hide that the writer waits.
                self._watch.writer_seen(is_writing=is_writing(connection, stream))
                view = read_overview(connection, stream, schema_name(stream))
                if view.is_installed and self._turn % INTERFERENCE_TURNS == 0:
                    self._interference = self._find_interference(connection)
                self._turn += view.is_installed
        except ReplicatorError as error:
            self._watch.database_missed(error.message)
            return
        except Exception as error:
            self._watch.database_missed(f"its control tables are not understood ({type(error).__name__})")
            raise
        self._watch.database_seen(replace(view, interference=self._interference))

    def close(self) -> None:
        """Close the connections."""
        if self._pool is not None:
            self._pool.close(timeout=_STOP_SECONDS)

    def _find_interference(self, connection: Connection) -> tuple[Interference, ...]:
        """What the user may not look at is left to ``check``: it hides nothing else."""
        stream = self._settings.mongo_database
        try:
            tables, _ = wanted_tables(connection, stream, self._mapping)
            return tuple(
                Interference(each.cause, each.fix) for each in interference(connection, schema_name(stream), tables)
            )
        except ReplicatorError:
            return ()

    def _opened(self) -> Pool:
        if self._pool is None:
            self._pool = make_pool(
                self._settings.postgres_dsn.get_secret_value(), application_name="replicator monitor"
            )
            self._pool.open()
        return self._pool
