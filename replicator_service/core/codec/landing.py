"""The table of landing places, made by asking the code: ``docs/reference/types.md`` is what :func:`page` gives."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bson.binary import Binary
from bson.code import Code
from bson.datetime_ms import DatetimeMS
from bson.dbref import DBRef
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId
from bson.timestamp import Timestamp

from replicator_service.core.codec.columns import SCALARS
from replicator_service.core.codec.extjson import relaxed, unmarked
from replicator_service.core.codec.key import encode_key
from replicator_service.core.codec.values import DBPointer, RegularExpression, Symbol, Undefined
from replicator_service.core.mapping.model import ColumnType

if TYPE_CHECKING:
    from replicator_service.core.codec.values import Value

_OID = ObjectId("0123456789abcdef01234567")
_UUID = bytes.fromhex("000102030405060708090a0b0c0d0e0f")


@dataclass(frozen=True, slots=True)
class Sample:
    """One kind of value: its name, an example, and the ``_id`` that the driver makes of it (or None: no key)."""

    name: str
    value: Value
    key: Value = ...


def _utc(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, 3, 4, 5, 678000, UTC).replace(tzinfo=None)


SAMPLES = (
    Sample("string", "text"),
    Sample("string of 24 hexadecimal digits", "0123456789abcdef01234567"),
    Sample("string in the form of a UUID", "00010203-0405-0607-0809-0a0b0c0d0e0f"),
    Sample("string that looks like a tag", "$number:7"),
    Sample("string with U+0000", "a\0b"),
    Sample("ObjectId", _OID),
    Sample("int32", 7),
    Sample("int64", Int64(2**53 + 1)),
    Sample("double, whole", 7.0),
    Sample("double with a fraction", 0.5),
    Sample("double, negative zero", -0.0),
    Sample("double, large", 1e16),
    Sample("double, NaN", float("nan")),
    Sample("double, infinite", float("-inf")),
    Sample("Decimal128, whole", Decimal128("7.00")),
    Sample("Decimal128 with a fraction", Decimal128("1.50")),
    Sample("Decimal128, NaN of any kind", Decimal128("NaN")),
    Sample("Decimal128, infinite", Decimal128("Infinity")),
    Sample("boolean", value=True),
    Sample("date, 1970 to 9999", _utc(2024, 1, 2)),
    Sample("date, before 1970", _utc(1066, 10, 14)),
    Sample("date, 4714 BC to 294276", DatetimeMS(-62135596800001)),
    Sample("date, beyond", DatetimeMS(2**63 - 1)),
    Sample("binary, subtype 0", b"\x01\xff"),
    Sample("binary, subtype 4 (UUID)", Binary(_UUID, 4)),
    Sample("binary, subtype 3 (old UUID)", Binary(_UUID, 3)),
    Sample("binary, other subtypes", Binary(b"\x01\xff", 0x80)),
    Sample("sub-document", {"a": 1}),
    Sample("array", [1, "a"], None),
    Sample("null", None),
    Sample("timestamp", Timestamp(1700000000, 1)),
    Sample("regular expression", RegularExpression("^a", "i"), None),
    Sample("code", Code("f()")),
    Sample("code with scope", Code("f()", {"x": 1})),
    Sample("DBRef", DBRef("c", _OID)),
    Sample("MinKey", MinKey()),
    Sample("MaxKey", MaxKey()),
    Sample("symbol (deprecated)", Symbol("text"), "text"),
    Sample("undefined (deprecated)", Undefined(), None),
    Sample("DBPointer (deprecated)", DBPointer("db.c", _OID), DBRef("db.c", _OID)),
)

_HEAD = Path(__file__).with_name("landing.md")
_ELSEWHERE = "·"


def page() -> str:
    """Give the whole page."""
    head = _HEAD.read_text(encoding="utf-8")
    return f"{head}\n{_json_table()}\n## Typed columns\n\n{_column_rules()}\n{_column_table()}"


def _json_table() -> str:
    rows = ["| BSON | as JSON | as `_id` |", "|---|---|---|"]
    for sample in SAMPLES:
        key = sample.value if sample.key is ... else sample.key
        text = "MongoDB refuses it" if key is None and sample.value is not None else _code(encode_key(key))
        rows.append(f"| {sample.name} | {_code(relaxed(sample.value))} | {text} |")
    return "\n".join(rows) + "\n"


def _column_rules() -> str:
    return (
        "A value fits a column when the column then equals it. The table shows what an example becomes; "
        f"`{_ELSEWHERE}` means that it\ndoes not fit: the column is null and the value is in `_extra`, "
        "as in the table above. Every value but null fits `jsonb`.\n"
    )


def _column_table() -> str:
    types = [each for each in SCALARS if each is not ColumnType.JSONB]
    rows = [f"| BSON | {' | '.join(types)} |", "|---" * (len(types) + 1) + "|"]
    for sample in SAMPLES:
        if sample.value is None:
            cells = ["null"] * len(types)
        else:
            fitted = (SCALARS[each](sample.value) for each in types)
            cells = [_ELSEWHERE if text is None else _code(unmarked(text)) for text in fitted]
        rows.append(f"| {sample.name} | {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def _code(text: str) -> str:
    return "`` ` ``" if text == "`" else f"`{text}`"
