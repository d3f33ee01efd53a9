"""How commands reach the control tables, and check the names that they are given."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from replicator_service.core.errors import ConfigurationError
from replicator_service.core.mapping.problems import closest
from replicator_service.sink.connect.connection import Connection, connect
from replicator_service.sink.control.migrations import require_known
from replicator_service.sink.control.registry import registered
from replicator_service.sink.overview.stream import is_installed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from replicator_service.configuration.settings import Settings


@contextmanager
def control_tables(settings: Settings) -> Iterator[Connection]:
    """A connection to the database that holds the control tables.

    Raises :class:`ConfigurationError` when there are none yet or a newer program has made them, :class:`Retryable`
    when the server is away.
    """
    connection = connect(settings.postgres_dsn.get_secret_value(), application_name="replicator command")
    with connection:
        if not is_installed(connection):
            raise ConfigurationError(
                "there are no control tables in this database yet",
                hint="Start the service once with 'replicator run', and check that REPLICATOR_POSTGRES_DSN names the "
                "right database.",
            )
        require_known(connection)
        yield connection


def known_collection(connection: Connection, stream: str, name: str) -> str:
    """``name`` if the stream has such a collection.

    Raises :class:`ConfigurationError` with the name that was probably meant.
    """
    names = [each.collection for each in registered(connection, stream)]
    if name in names:
        return name
    meant = closest(name, names)
    if meant is not None:
        hint = f"Did you mean {meant}?"
    elif names:
        hint = f"Known are: {', '.join(names[:20])}{', ...' if len(names) > 20 else ''}"
    else:
        hint = "No collection of this database has been replicated yet."
    raise ConfigurationError(f"there is no collection {name!r} in the stream {stream}", hint=hint)
