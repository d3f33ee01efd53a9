"""Sources with connections of their own."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from replicator_service.core.read_from import ReadFrom, ReadingObserver, ignore_reading
from replicator_service.source.connect.connection import connect, disconnect, read_only_database, server_info
from replicator_service.source.connect.route import Route, preference
from replicator_service.source.read.mongo import MongoSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from replicator_service.core.masking.door import Door


def open_source(
    uri: str,
    name: str,
    door: Door | None = None,
    *,
    read_from: ReadFrom = ReadFrom.ADDRESS,
    told: ReadingObserver = ignore_reading,
) -> MongoSource:
    """One source that owns its client: closing it closes that, so it is closed after those beside it.

    ``told`` hears from which member is read, whenever that changes. Raises what :func:`server_info` does.
    """
    client = connect(uri)
    try:
        database = read_only_database(client, name)
        route = Route(client, preference(uri, read_from), told=told)
        info = server_info(client, database, route=route)
        return MongoSource(client, database, info, door=door, owns_client=True, route=route)
    except BaseException:
        disconnect(client)
        raise


@contextmanager
def opened_sources(
    uri: str,
    name: str,
    *,
    app_name: str,
    number: int = 1,
    read_from: ReadFrom = ReadFrom.ADDRESS,
    door: Door | None = None,
) -> Iterator[list[MongoSource]]:
    """So many sources of one database on connections of their own, closed at the end of the block.

    They open no streams. Raises what :func:`server_info` does.
    """
    client = connect(uri, app_name=app_name)
    try:
        database = read_only_database(client, name)
        route = Route(client, preference(uri, read_from))
        info = server_info(client, database, streams=False, route=route)
        sources = [MongoSource(client, database, info, door=door, route=route) for _ in range(number)]
        yield sources
        for source in sources:
            source.close()
    finally:
        disconnect(client)
