"""JavaScript code, with and without variables, and regular expressions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from json.encoder import encode_basestring as quote
from typing import TYPE_CHECKING, Any

from bson.code import Code
from bson.regex import Regex

from replicator_service.core.bson.declaration import (
    BsonType,
    Encoding,
    Json,
    Key,
    KeyOf,
    Reading,
    Sample,
    Value,
    int32,
)
from replicator_service.core.bson.text import decoded_string, decoded_text, quoted, unquoted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LETTERS = {
    "i": re.IGNORECASE,
    "l": re.LOCALE,
    "m": re.MULTILINE,
    "s": re.DOTALL,
    "u": re.UNICODE,
    "x": re.VERBOSE,
}


@dataclass(frozen=True, slots=True)
class RegularExpression:
    """A regular expression with all its options; the driver drops those that it does not know."""

    pattern: str
    options: str


def _scoped(raw: bytes, reading: Reading) -> Code:
    length = int32(raw, 4)
    return Code(decoded_text(raw[8 : 7 + length]), reading.document(raw[8 + length :]))


def _code_json(writers: Mapping[type, Json]) -> Json:
    def write(value: Code) -> str:
        scope = "" if value.scope is None else f',"$scope":{writers[dict](value.scope)}'
        return f'{{"$code":{quote(str(value))}{scope}}}'

    return write


def _code_key(inside: Callable[[Value], str]) -> KeyOf:
    def key(value: Code) -> Key:
        if value.scope is None:
            return ("code", quoted(str(value)))
        return ("codeWithScope", f"{quoted(str(value))}:{inside(value.scope)}")

    return key


def _regular_expression(raw: bytes) -> RegularExpression:
    pattern, options, _ = raw.split(b"\0")
    return RegularExpression(decoded_text(pattern), decoded_text(options))


def _of_the_driver(value: Regex[Any]) -> RegularExpression:
    pattern = value.pattern if isinstance(value.pattern, str) else value.pattern.decode("utf-8", "replace")
    return RegularExpression(pattern, "".join(letter for letter, flag in _LETTERS.items() if value.flags & flag))


def _json(value: RegularExpression | Regex[Any]) -> str:
    whole = _of_the_driver(value) if isinstance(value, Regex) else value
    options = quote("".join(sorted(whole.options)))
    return f'{{"$regularExpression":{{"pattern":{quote(whole.pattern)},"options":{options}}}}}'


def _key(value: RegularExpression | Regex[Any]) -> Key:
    whole = _of_the_driver(value) if isinstance(value, Regex) else value
    return ("regex", f"{quoted(whole.pattern)}:{whole.options}")


CODE = BsonType(
    name="code",
    classes=(Code,),
    encodings={
        0x0D: Encoding(lambda raw, _: Code(decoded_string(raw)), 4, is_prefixed=True),
        0x0F: Encoding(_scoped, 0, is_prefixed=True),
    },
    json_with=_code_json,
    key_with=_code_key,
    keys={"code": lambda text: Code(unquoted(text))},
    samples=(Sample("code", Code("f()")), Sample("code with scope", Code("f()", {"x": 1}))),
)

REGULAR_EXPRESSION = BsonType(
    name="regular expression",
    classes=(RegularExpression,),
    inexact_classes=(Regex,),
    encodings={0x0B: Encoding(lambda raw, _: _regular_expression(raw), None)},
    json=_json,
    key=_key,
    samples=(Sample("regular expression", RegularExpression("^a", "i"), None),),
)
