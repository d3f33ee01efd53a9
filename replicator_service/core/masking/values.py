"""One value in, one value out: what each mask makes of a BSON value.

A value is its kind (bsonspec.org) and its bytes. Null stays null. What a mask cannot take becomes null: a value that is
not understood never stays as it is.
"""

from __future__ import annotations

import hmac
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, assert_never

import bson
from bson.errors import BSONError

from replicator_service.core.bson.marks import REWRITTEN
from replicator_service.core.bson.text import string_text
from replicator_service.core.codec import CODEC_OPTIONS, TOLERANT_OPTIONS
from replicator_service.core.codec.columns import SCALARS
from replicator_service.core.codec.elements import ARRAY, CODE_WITH_SCOPE, DOCUMENT
from replicator_service.core.codec.key import encode_key, tagged
from replicator_service.core.mapping.model import ColumnType
from replicator_service.core.masking.rules import Mask, MaskKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from replicator_service.core.masking.key import MaskKey

BsonValue = tuple[int, bytes]

STRING, DATE, NULL = 0x02, 0x09, 0x0A
_BINARY, _UNDEFINED, _SYMBOL, _DB_POINTER = 0x05, 0x06, 0x0E, 0x0C
_NOTHING = frozenset({_UNDEFINED, NULL})
_NO_SCALARS = frozenset({DOCUMENT, ARRAY, _DB_POINTER, CODE_WITH_SCOPE})
_KEPT_KINDS = frozenset({0x01, 0x07, 0x10, 0x12, 0x13})
"""Besides texts, of which characters can be kept: numbers and ObjectIds."""

MASKED_NULL: BsonValue = (NULL, b"")
_HIDDEN = "***"
_REMEMBERED = 2**15
_LARGE = 256
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ISO_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})(?:[T ].*)?", re.DOTALL | re.ASCII)


def replacement(mask: Mask, key: MaskKey | None) -> Callable[[int, bytes], BsonValue]:
    """The function that masks one value that is no array; ``key`` is there when the mask needs one."""
    match mask.kind:
        case MaskKind.HMAC:
            if key is None:
                raise ValueError("an hmac needs a key")
            return _remembering(_scalar(partial(_hmac, key.secret)))
        case MaskKind.KEEP_FIRST | MaskKind.KEEP_LAST:
            return _scalar(partial(_kept, mask.count, is_last=mask.kind is MaskKind.KEEP_LAST))
        case MaskKind.TRUNCATE_IP:
            return _remembering(_scalar(partial(_network, mask.count, mask.count6)))
        case MaskKind.TRUNCATE_DATE:
            return _scalar(partial(_date, mask.unit))
        case MaskKind.NULL:
            return _always(MASKED_NULL)
        case MaskKind.CONSTANT:
            raw = bson.encode({"": mask.constant})
            return _always((raw[4], raw[6:-1]))
        case _:
            assert_never(mask.kind)


def is_whole(mask: Mask) -> bool:
    """Whether an array is replaced as one value rather than element by element."""
    return mask.kind in (MaskKind.NULL, MaskKind.CONSTANT)


def _always(value: BsonValue) -> Callable[[int, bytes], BsonValue]:
    return lambda _kind, _raw: value


def _scalar(mask: Callable[[int, bytes], BsonValue]) -> Callable[[int, bytes], BsonValue]:
    """Nothing stays nothing, and what is no scalar is left to no mask."""

    def replace(kind: int, raw: bytes) -> BsonValue:
        if kind in _NOTHING or kind in _NO_SCALARS:
            return MASKED_NULL
        try:
            return mask(kind, raw)
        except (BSONError, ValueError, OverflowError, ArithmeticError, TypeError):
            return MASKED_NULL

    return replace


def _remembering(replace: Callable[[int, bytes], BsonValue]) -> Callable[[int, bytes], BsonValue]:
    """The same; values that come again and again, as those of users do, are masked once."""
    remembered = lru_cache(maxsize=_REMEMBERED)(replace)
    return lambda kind, raw: remembered(kind, raw) if len(raw) <= _LARGE else replace(kind, raw)


def _hmac(secret: bytes, kind: int, raw: bytes) -> BsonValue:
    return _string(hmac.digest(secret, canonical_text(kind, raw), "sha256").hex())


def key_replacement(key: MaskKey) -> Callable[[int, bytes], BsonValue]:
    """The function that masks an ``_id``: any value of one, and different ones differently."""
    return _remembering(partial(_key_hmac, key.secret))


def _key_hmac(secret: bytes, kind: int, raw: bytes) -> BsonValue:
    return _string(masked_key(secret, _key_text(kind, raw)))


def masked_key(secret: bytes, key: str) -> str:
    """The key of a row whose ``_id`` is masked, from the key that it would have."""
    return hmac.digest(secret, key.encode(), "sha256").hex()


def _key_text(kind: int, raw: bytes) -> str:
    document = (len(raw) + 10).to_bytes(4, "little") + b"%c_id\0" % kind + raw + b"\0"
    return encode_key(bson.decode(document, TOLERANT_OPTIONS)["_id"])


def canonical_text(kind: int, raw: bytes) -> bytes:
    """The text of a scalar: what a ``text`` column shows of it, so columns join masked exactly as they join plain.

    Of what no such column takes it is the text that ``_id`` would have, however long.
    """
    if kind in (STRING, _SYMBOL):
        text = raw[4:-1]
        if text[:1] != b"$" and b"\0" not in text:
            return text
        return (
            string_text(text.decode("utf-8", "surrogateescape")).replace(REWRITTEN, "").encode(errors="surrogateescape")
        )
    value = _decoded(kind, raw)
    text_of = SCALARS[ColumnType.TEXT](value)
    return (tagged(value) if text_of is None else text_of.replace(REWRITTEN, "")).encode(errors="surrogateescape")


def _kept(count: int, kind: int, raw: bytes, *, is_last: bool) -> BsonValue:
    """Some characters; of a text that has no more than these, none."""
    if kind in (STRING, _SYMBOL):
        text = raw[4:-1].decode("utf-8", "replace").replace("\0", "\ufffd")
    elif kind in _KEPT_KINDS:
        text = str(_decoded(kind, raw))
    else:
        return MASKED_NULL
    if len(text) <= count:
        return _string(_HIDDEN)
    return _string(_HIDDEN + text[-count:] if is_last else text[:count] + _HIDDEN)


def _network(bits: int, bits6: int, kind: int, raw: bytes) -> BsonValue:
    """The network that an address is in, as text."""
    if kind == STRING:
        address = ip_address(raw[4:-1].decode().strip().partition("%")[0])
    elif kind == _BINARY and raw[4] == 0:
        address = ip_address(raw[5:])
    else:
        return MASKED_NULL
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return _string(f"::ffff:{_truncate(address.ipv4_mapped, bits)}")
        return _string(str(IPv6Address(int(address) >> (128 - bits6) << (128 - bits6))))
    return _string(_truncate(address, bits))


def _truncate(address: IPv4Address, bits: int) -> str:
    return str(IPv4Address(int(address) >> (32 - bits) << (32 - bits)))


def _date(unit: str, kind: int, raw: bytes) -> BsonValue:
    """The first instant (UTC) of the day, month or year; a text in ISO 8601 stays a text and loses what follows."""
    if kind == DATE:
        since = int.from_bytes(raw, "little", signed=True)
        begin = _begin(_EPOCH + timedelta(milliseconds=since), unit)
        return DATE, ((begin - _EPOCH) // timedelta(milliseconds=1)).to_bytes(8, "little", signed=True)
    if kind == STRING:
        matched = _ISO_DATE.fullmatch(raw[4:-1].decode())
        if matched is not None:
            year, month, day = map(int, matched.groups())
            return _string(_begin(datetime(year, month, day, tzinfo=UTC), unit).strftime("%Y-%m-%d"))
    return MASKED_NULL


def _begin(instant: datetime, unit: str) -> datetime:
    day = instant.replace(hour=0, minute=0, second=0, microsecond=0)
    if unit == "day":
        return day
    return day.replace(day=1) if unit == "month" else day.replace(day=1, month=1)


def _decoded(kind: int, raw: bytes) -> object:
    document = (len(raw) + 7).to_bytes(4, "little") + bytes([kind]) + b"\0" + raw + b"\0"
    with suppress(UnicodeDecodeError):
        return bson.decode(document, CODEC_OPTIONS)[""]
    raise ValueError("not UTF-8")


def _string(text: str) -> BsonValue:
    encoded = text.encode()
    return STRING, (len(encoded) + 1).to_bytes(4, "little") + encoded + b"\0"
