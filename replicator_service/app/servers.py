"""The real servers: sessions with MongoDB and PostgreSQL, opened from settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.configuration.privacy import door_of, key_fingerprint
from replicator_service.core.abilities import require_exact
from replicator_service.sink.check.start import explained, prepare
from replicator_service.sink.connect.connection import connect as connect_sink
from replicator_service.sink.control.mask_key import take_key
from replicator_service.sink.control.requests import PostgresOperator
from replicator_service.sink.errors import Forbidden
from replicator_service.sink.write.session import PostgresLeader
from replicator_service.source.read.opening import open_source

if TYPE_CHECKING:
    from replicator_service.configuration.settings import Settings
    from replicator_service.core.errors import ConfigurationError, ReplicatorError
    from replicator_service.core.mapping.model import Mapping
    from replicator_service.core.ports import Source
    from replicator_service.core.sessions import LeaderSession, OperatorSession
    from replicator_service.runtime.state.health import Health


class RealServers:
    """Opens what :class:`replicator_service.core.sessions.Servers` says."""

    def __init__(self, settings: Settings, mapping: Mapping, health: Health) -> None:
        self._settings = settings
        self._mapping = mapping
        self._door = door_of(settings, mapping)
        self._health = health

    def open_source(self) -> Source:
        """MongoDB, through a client of its own.

        Raises :class:`ConfigurationError` for a server that cannot be replicated from exactly, unless that is accepted.
        """
        settings = self._settings
        source = open_source(
            settings.mongo_uri.get_secret_value(),
            settings.mongo_database,
            self._door,
            read_from=settings.read_from,
            told=self._health.reads_from,
        )
        try:
            abilities = source.info.abilities
            self._health.probed(abilities)
            require_exact(abilities, is_accepted=settings.accept_inexact)
        except BaseException:
            source.close()
            raise
        return source

    def open_leader(self) -> LeaderSession:
        """The session that writes. ``synchronous_commit`` is off: rows and position are lost together or not at all."""
        connection = connect_sink(self._dsn, application_name="replicator writer", durable=False)
        try:
            prepare(connection, self._settings.mongo_database, self._mapping)
            take_key(connection, self._settings.mongo_database, key_fingerprint(self._settings, self._mapping))
        except BaseException:
            connection.close()
            raise
        return PostgresLeader(connection, self._settings.mongo_database)

    def open_operator(self) -> OperatorSession:
        """The session that reads requests and keys."""
        connection = connect_sink(self._dsn, application_name="replicator requests")
        return PostgresOperator(connection, self._settings.mongo_database)

    def explained(self, error: ConfigurationError) -> ReplicatorError:
        """The same error with the very statement that helps, where a privilege is missing."""
        if not isinstance(error, Forbidden):
            return error
        with connect_sink(self._dsn, application_name="replicator check") as connection:
            return explained(connection, self._settings.mongo_database, self._mapping, error)

    @property
    def _dsn(self) -> str:
        return self._settings.postgres_dsn.get_secret_value()
