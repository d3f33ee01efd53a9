"""From the bytes of sampled documents to their shape."""

from __future__ import annotations

from typing import TYPE_CHECKING

import bson
from bson.errors import InvalidBSON

from replicator_service.core.codec import CODEC_OPTIONS, may_hold_lossy_types
from replicator_service.core.codec.exact import decode_exact
from replicator_service.core.mapping.inference.shape import empty_shape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from replicator_service.core.bson.declaration import Value
    from replicator_service.core.mapping.inference.shape import Shape


def fold(
    documents: Iterable[bytes],
    shape: Shape | None = None,
    *,
    look: Callable[[dict[str, Value]], None] = lambda _: None,
) -> Shape:
    """Add documents to a shape, one at a time; none is kept. Returns the shape that grew, a new one by default.

    ``look`` is called with each of them, decoded.
    """
    growing = empty_shape() if shape is None else shape
    for raw in documents:
        document = _decoded(raw)
        growing.add_document(document)
        look(document)
    return growing


def _decoded(raw: bytes) -> dict[str, Value]:
    """Decode as the pipeline does, so that a value has the same type here and there."""
    if may_hold_lossy_types(raw):
        return decode_exact(raw).fields
    try:
        return bson.decode(raw, CODEC_OPTIONS)
    except (InvalidBSON, UnicodeDecodeError):
        return decode_exact(raw).fields
