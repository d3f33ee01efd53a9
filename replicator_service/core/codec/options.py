"""How MongoDB's replies are decoded everywhere, so that one document always becomes the same values."""

from __future__ import annotations

from typing import Any

from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions, DatetimeConversion

CODEC_OPTIONS: CodecOptions[dict[str, Any]] = CodecOptions(
    document_class=dict,
    tz_aware=False,
    uuid_representation=UuidRepresentation.UNSPECIFIED,
    unicode_decode_error_handler="strict",
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
)
"""Dates are naive, in UTC, and ``DatetimeMS`` outside the years 1 to 9999; UUIDs stay binary."""

TOLERANT_OPTIONS: CodecOptions[dict[str, Any]] = CODEC_OPTIONS.with_options(
    unicode_decode_error_handler="surrogateescape",
)
"""For invalid UTF-8: each bad byte becomes a lone surrogate, so that distinct keys stay distinct."""
