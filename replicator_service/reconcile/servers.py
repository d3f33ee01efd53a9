"""Both servers, open for a reconciliation."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from replicator_service.core.errors import ConfigurationError
from replicator_service.core.naming import schema_name
from replicator_service.sink.connect.connection import Connection
from replicator_service.sink.connect.connection import connect as connect_sink
from replicator_service.sink.control.migrations import require_known
from replicator_service.sink.overview.stream import is_installed
from replicator_service.source.connect.connection import Client, read_only_database, server_facts
from replicator_service.source.connect.connection import connect as connect_source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymongo.database import Database

    from replicator_service.configuration.settings import Settings

_APPLICATION = "replicator reconciliation"


@dataclass(frozen=True, slots=True)
class Servers:
    """``look`` reads snapshots, ``write`` repairs and remembers. The stream has the name of the database."""

    client: Client
    database: Database[dict[str, Any]]
    look: Connection
    write: Connection

    @property
    def stream(self) -> str:
        """The stream's name."""
        return self.database.name

    @property
    def schema(self) -> str:
        """The schema of the replicated tables."""
        return schema_name(self.database.name)


@contextmanager
def opened_sink(settings: Settings) -> Iterator[Connection]:
    """A connection to the control tables.

    Raises :class:`ConfigurationError` when nothing has ever been replicated, or by a newer program.
    """
    with connect_sink(settings.postgres_dsn.get_secret_value(), application_name=_APPLICATION) as connection:
        if not is_installed(connection):
            raise ConfigurationError(
                "nothing has been replicated into this PostgreSQL database yet",
                hint="Run 'replicator run' first, and check REPLICATOR_POSTGRES_DSN.",
            )
        require_known(connection)
        yield connection


@contextmanager
def opened(settings: Settings) -> Iterator[Servers]:
    """Connections to both servers, checked, closed at the end of the block."""
    with (
        opened_sink(settings) as look,
        connect_sink(settings.postgres_dsn.get_secret_value(), application_name=_APPLICATION) as write,
    ):
        client = connect_source(settings.mongo_uri.get_secret_value(), app_name=_APPLICATION)
        try:
            server_facts(client)
            yield Servers(client, read_only_database(client, settings.mongo_database), look, write)
        finally:
            client.close()
