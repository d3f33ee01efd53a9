"""BSON values as text: keys, Extended JSON, and PostgreSQL cells.

Decoding loses little, and what it loses is known: replies are decoded at once with :data:`CODEC_OPTIONS`, and
the few documents for which :func:`may_hold_lossy_types` is true, or whose strings are not UTF-8, are decoded
exactly.
"""

from replicator_service.core.codec.extjson import relaxed
from replicator_service.core.codec.key import encode_key
from replicator_service.core.codec.lossy import may_hold_lossy_types
from replicator_service.core.codec.options import CODEC_OPTIONS, TOLERANT_OPTIONS

__all__ = ["CODEC_OPTIONS", "TOLERANT_OPTIONS", "encode_key", "may_hold_lossy_types", "relaxed"]
