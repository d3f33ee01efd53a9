"""Both servers, open for a reconciliation."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from replicator_service.configuration.mapping_file import read_mapping
from replicator_service.configuration.privacy import door_of, key_fingerprint
from replicator_service.core.errors import ConfigurationError
from replicator_service.core.naming import schema_name
from replicator_service.sink.connect.connection import Connection
from replicator_service.sink.connect.connection import connect as connect_sink
from replicator_service.sink.control.mask_key import require_key
from replicator_service.sink.control.migrations import require_known
from replicator_service.sink.overview.stream import is_installed
from replicator_service.source.read.opening import opened_sources

if TYPE_CHECKING:
    from collections.abc import Iterator

    from replicator_service.configuration.settings import Settings
    from replicator_service.core.mapping.model import Mapping
    from replicator_service.source.read.mongo import MongoSource

_APPLICATION = "replicator: reconciliation"


@dataclass(frozen=True, slots=True)
class Servers:
    """``read`` reads snapshots, ``write`` repairs and remembers. The stream has the name of the database.

    A source belongs to one thread: ``reading`` is the documents', ``source`` everything else's.
    """

    source: MongoSource
    reading: MongoSource
    read: Connection
    write: Connection

    @property
    def stream(self) -> str:
        """The stream's name."""
        return self.source.name

    @property
    def schema(self) -> str:
        """The schema of the replicated tables."""
        return schema_name(self.source.name)


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
def opened(settings: Settings, mapping: Mapping | None = None) -> Iterator[Servers]:
    """Connections to both servers, checked, closed at the end of the block; documents come as ``mapping`` lets them."""
    mapping = read_mapping(settings.mapping) if mapping is None else mapping
    door = door_of(settings, mapping)
    with (
        opened_sink(settings) as read,
        connect_sink(settings.postgres_dsn.get_secret_value(), application_name=_APPLICATION) as write,
        opened_sources(
            settings.mongo_uri.get_secret_value(),
            settings.mongo_database,
            app_name=_APPLICATION,
            number=2,
            read_from=settings.read_from,
            door=door,
        ) as (source, reading),
    ):
        require_key(read, settings.mongo_database, key_fingerprint(settings, mapping))
        yield Servers(source, reading, read, write)
