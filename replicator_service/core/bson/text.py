"""Strings."""

from __future__ import annotations

import json
import re
from json.encoder import encode_basestring as quote

from replicator_service.core.bson.declaration import BsonType, Encoding, Key, Sample, Value, tagged_text
from replicator_service.core.bson.marks import REWRITTEN
from replicator_service.core.mapping.model import ColumnType

_ESCAPED_BYTE = re.compile("[\udc80-\udcff]")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TAGS = ("$number:", "$boolean:", "$date:", "$uuid:", "$string:")
"""What the texts of identifiers in a ``text`` column begin with."""


def decoded_text(raw: bytes) -> str:
    """Decode UTF-8; what is none becomes U+0000, each byte with a lone surrogate behind it (PEP 383).

    So it is shown as U+FFFD, the original document is kept, and different bytes stay different.
    """
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return _ESCAPED_BYTE.sub("\0\\g<0>", raw.decode(errors="surrogateescape"))


def decoded_string(raw: bytes) -> str:
    """Decode the value of a string: its length, its bytes, a zero byte."""
    return decoded_text(raw[4:-1])


def quoted(value: str) -> str:
    """Return a JSON string: U+0000 and lone surrogates are escaped in it."""
    return json.dumps(value, ensure_ascii=not is_storable(value))


def unquoted(text: str) -> str:
    """Return the string of :func:`quoted`. Raises :class:`TypeError` or :class:`ValueError` for anything else."""
    value = json.loads(text)
    if type(value) is not str:
        raise TypeError("not a text")
    return value


def is_storable(value: str) -> bool:
    """Whether a string can be written in UTF-8: it has no lone surrogates."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def string_key(value: str) -> Key:
    """Return a string behind its tag, which as ``_id`` only those have that could be taken for something else."""
    return ("string", quoted(value))


def string_text(value: str) -> str:
    """Return the text of a string in a ``text`` column, with marks."""
    if "\0" in value:
        return REWRITTEN + tagged_text(string_key(value))
    return tagged_text(string_key(value)) if value.startswith(_TAGS) else value


def _uuid(value: Value) -> str | None:
    return value if _UUID.fullmatch(value) else None


STRING = BsonType(
    name="string",
    classes=(str,),
    encodings={0x02: Encoding(lambda raw, _: decoded_string(raw), 4, is_prefixed=True)},
    json=quote,
    key=string_key,
    keys={"string": unquoted},
    columns={ColumnType.TEXT: string_text, ColumnType.UUID: _uuid},
    samples=(
        Sample("string", "text"),
        Sample("string of 24 hexadecimal digits", "0123456789abcdef01234567"),
        Sample("string in the form of a UUID", "00010203-0405-0607-0809-0a0b0c0d0e0f"),
        Sample("string that looks like a tag", "$number:7"),
        Sample("string with U+0000", "a\0b"),
    ),
)
