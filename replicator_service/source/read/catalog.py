"""Which collections a database has, and which of them can be replicated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pymongo

from replicator_service.core.ports import CollectionKind, SourceCollection
from replicator_service.source.errors import translated

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from pymongo.database import Database

    from replicator_service.source.connect.connection import Client

_ANSWER_SECONDS = 60.0
"""The catalog is in the server's memory; a lock that somebody holds on it may take a while."""

_OWN_DATABASES = frozenset({"admin", "config", "local"})


def list_collections(database: Database[dict[str, Any]]) -> dict[str, SourceCollection]:
    """All collections by name, without the server's own (``system.*``)."""
    with translated(), pymongo.timeout(_ANSWER_SECONDS):
        listed = list(database.list_collections())
    found = [_collection(entry) for entry in listed if not entry["name"].startswith("system.")]
    return {collection.name: collection for collection in found}


def find_collection(database: Database[dict[str, Any]], name: str, *, looks_up: bool) -> SourceCollection | None:
    """One collection by its name. The server looks a name up, it does not list all for it.

    Where it does not take a filter (``looks_up`` is false), all are listed.
    """
    if not looks_up:
        return list_collections(database).get(name)
    with translated(), pymongo.timeout(_ANSWER_SECONDS):
        listed = list(database.list_collections(filter={"name": name}))
    return _collection(listed[0]) if listed else None


def list_databases(client: Client) -> list[str]:
    """The databases that the user may read, without the server's own."""
    with translated():
        listed = list(client.list_databases(nameOnly=True, authorizedDatabases=True))
    return [entry["name"] for entry in listed if entry["name"] not in _OWN_DATABASES]


def _collection(entry: MutableMapping[str, Any]) -> SourceCollection:
    kind = CollectionKind(entry.get("type", "collection"))
    if kind is CollectionKind.ORDINARY and entry.get("options", {}).get("capped"):
        kind = CollectionKind.CAPPED
    uuid = entry.get("info", {}).get("uuid")
    return SourceCollection(entry["name"], kind, bytes(uuid) if uuid is not None else None)
