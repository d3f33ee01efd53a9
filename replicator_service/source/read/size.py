"""About how large a collection is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pymongo
from pymongo import ReadPreference
from pymongo.errors import OperationFailure

from replicator_service.source.errors import translated

if TYPE_CHECKING:
    from pymongo.database import Database

    from replicator_service.source.connect.route import Preference

_ANSWER_SECONDS = 60.0
_NAMESPACE_NOT_FOUND = 26


@dataclass(frozen=True, slots=True)
class Size:
    """Documents, and their bytes before compression."""

    documents: int
    size: int


def collection_size(
    database: Database[dict[str, Any]], collection: str, preferred: Preference = ReadPreference.PRIMARY
) -> Size:
    """From the statistics of a member that the read preference takes; nothing when the collection does not exist."""
    pipeline: list[dict[str, Any]] = [{"$collStats": {"storageStats": {}}}, {"$project": {"storageStats": 1}}]
    # As a command, since the driver refuses names that the server takes.
    command = {"aggregate": collection, "pipeline": pipeline, "cursor": {}}
    with translated(), pymongo.timeout(_ANSWER_SECONDS):
        try:
            reply = database.command(command, read_preference=preferred)
            found: list[dict[str, Any]] = reply["cursor"]["firstBatch"]
        except OperationFailure as error:
            if error.code != _NAMESPACE_NOT_FOUND:
                raise
            found = []
    statistics = [each.get("storageStats", {}) for each in found]
    return Size(sum(each.get("count", 0) for each in statistics), sum(each.get("size", 0) for each in statistics))
