"""``replicator erase``: that nothing of a document is left in PostgreSQL, once it is gone from MongoDB."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from bson.objectid import ObjectId
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from replicator_service.configuration.mapping_file import read_mapping
from replicator_service.configuration.privacy import door_of
from replicator_service.core.codec.key import decode_key
from replicator_service.core.naming import schema_name
from replicator_service.pipeline.reading import Reads, decoded_id
from replicator_service.sink.control.erasure import ErasedDocument, NotYet, Receipt, StillThere, erase
from replicator_service.source.read.opening import open_source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replicator_service.configuration.settings import Settings
    from replicator_service.core.masking.door import Door
    from replicator_service.core.sessions import Registered
    from replicator_service.sink.connect.connection import Connection

_RETRY_SECONDS = 0.5
_LEAST_TRACE = 6
"""Shorter texts are found in any position by chance."""


def erase_document(
    settings: Settings,
    connection: Connection,
    collection: Registered,
    key: str,
    *,
    mart_keys: Sequence[str] = (),
    timeout_seconds: float,
) -> Receipt:
    """Erase a document, by the text that ``_id`` has in its row, or would have without a mask.

    Waits ``timeout_seconds`` seconds for the stream to pass its delete.

    Raises :class:`StillThere` while MongoDB has it, :class:`NotYet` when the stream did not come so far.
    """
    mapping = read_mapping(settings.mapping)
    door = door_of(settings, mapping)
    masked = door.key_of(collection.collection, key)
    gone_at = _gone_at(settings, door, collection.collection, masked)
    known = (*mart_keys, *door.masked_texts(mart_keys))
    erased = ErasedDocument(collection, masked, gone_at, known, _traces(key))
    retrying = Retrying(
        retry=retry_if_exception_type(NotYet),
        wait=wait_fixed(_RETRY_SECONDS),
        stop=stop_after_delay(timeout_seconds),
        reraise=True,
    )
    receipt: Receipt = retrying(
        erase, connection, schema_name(settings.mongo_database), settings.mongo_database, erased
    )
    return receipt


def _gone_at(settings: Settings, door: Door, collection: str, key: str) -> int:
    """A cluster time at which MongoDB has no document of this key."""
    times: list[int] = []
    uri = settings.mongo_uri.get_secret_value()
    with closing(open_source(uri, settings.mongo_database, door)) as source:
        times.append(source.operation_time())
        if Reads(source, times.append).existing(collection, [key], at=None, uuid=None) and source.crosses(collection):
            raise StillThere(
                f"the document exists in {collection} in MongoDB: what is erased would come back",
                hint="Delete it there first; the service deletes its rows, and this proves that nothing is left.",
            )
    return max(times)


def _traces(key: str) -> tuple[str, ...]:
    """How a resume token, which is a key string in hexadecimal digits, would hold the ``_id``."""
    known = decode_key(key)
    value = None if known is None else decoded_id(known.document)
    if isinstance(value, ObjectId):
        return (value.binary.hex(),)
    if isinstance(value, str) and len(value) >= _LEAST_TRACE:
        return (value.encode(errors="surrogateescape").hex(),)
    return ()
