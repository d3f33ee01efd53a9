"""Lets indexes be made beside the replication, as long as this instance leads."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from replicator_service.core.errors import ReplicatorError
from replicator_service.core.mapping.model import tables_of
from replicator_service.runtime.state.health import Role
from replicator_service.sink.connect.connection import connect
from replicator_service.sink.indexes.builder import IndexBuilder
from replicator_service.sink.indexes.ending import APPLICATION

if TYPE_CHECKING:
    from replicator_service.configuration.settings import Settings
    from replicator_service.core.mapping.model import Mapping
    from replicator_service.runtime.log.logging import Logger
    from replicator_service.runtime.state.health import Health

_TURN_SECONDS = 1.0
_STOP_SECONDS = 2.0


class IndexWork:
    """A thread that builds until :meth:`stop`. PostgreSQL may be away, and the tables may not be there yet."""

    def __init__(self, settings: Settings, mapping: Mapping, health: Health, *, log: Logger) -> None:
        self._settings = settings
        self._mapping = mapping
        self._health = health
        self._log = log
        self._has_indexes = any(table.indexes for each in mapping.collections for table in tables_of(each))
        self._stopping = threading.Event()
        self._builder: IndexBuilder | None = None
        self._thread = threading.Thread(target=self._run, name="indexes", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Break off what is being built: the next leader begins it again. Idempotent."""
        self._stopping.set()
        builder = self._builder
        if builder is not None and self._thread.is_alive():
            builder.cancel()
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                has_built = self._turn()
            except ReplicatorError:
                # The writer waits for the same server, and tells of it.
                self._close()
                has_built = False
            except Exception as error:  # noqa: BLE001 - rows matter more than an index: the replication continues
                self._log.warning("indexes cannot be made", exc_info=error)
                self._close()
                has_built = False
            if not has_built:
                self._stopping.wait(_TURN_SECONDS)
        self._close()

    def _turn(self) -> bool:
        """One index, if there is one to make."""
        if self._health.report().role is not Role.LEADER or not self._has_indexes:
            self._close()
            return False
        if self._builder is None:
            dsn = self._settings.postgres_dsn.get_secret_value()
            connection = connect(dsn, application_name=APPLICATION)
            stream = self._settings.mongo_database
            self._builder = IndexBuilder(connection, stream, self._mapping, clock=time.monotonic)
        built = self._builder.turn()
        if built is not None:
            self._log.info("index", table=built.table.name, columns=", ".join(built.columns))
        return built is not None

    def _close(self) -> None:
        builder, self._builder = self._builder, None
        if builder is not None:
            builder.close()
