"""What looks personal: by the name of a field, or by the shape of its values. Values are looked at and never kept.

A warning of something harmless can be acknowledged in the mapping, one that is missing costs more: what is suspected is
wide for names, and for values only what hardly anything else looks like (check digits hold, an address parses).
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address
from typing import TYPE_CHECKING

from replicator_service.core.masking.rules import ANY_FIELD, KEY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from replicator_service.core.bson.declaration import Value
    from replicator_service.core.masking.rules import Path, Rules


class Personal(StrEnum):
    """A kind of personal data; the value is how people read it."""

    EMAIL = "an e-mail address"
    PHONE = "a telephone number"
    IP = "an IP address"
    IBAN = "a bank account"
    CARD = "a payment card"
    TOKEN = "a secret"  # noqa: S105 - what is suspected, not one
    NAME = "a person's name"
    BIRTH = "a date of birth"
    PLACE = "where a person lives"
    NUMBER = "a person's number"


MASKS = {
    Personal.EMAIL: "hmac",
    Personal.PHONE: "{keep_last: 2}",
    Personal.IP: "{truncate: 24}",
    Personal.IBAN: "{keep_last: 4}",
    Personal.CARD: "{keep_last: 4}",
    Personal.TOKEN: "null",
    Personal.NAME: "{keep_first: 1}",
    Personal.BIRTH: "{truncate: year}",
    Personal.PLACE: "null",
    Personal.NUMBER: "hmac",
}
"""What is proposed for each."""

_NAMES = {
    Personal.EMAIL: r"e?_?mail(_?addr(ess)?)?|(user|contact|customer)_e?mail",
    Personal.PHONE: r"(tele|cell|mobile_?|home_?|work_?)?phone(_?(number|no|nr))?|mobile|msisdn|fax|tel",
    Personal.IP: r"(.*_)?ip(v[46])?(_?addr(ess)?)?|remote_addr",
    Personal.IBAN: r"iban|bank_account(_number)?|account_iban",
    Personal.CARD: r"(credit_?|debit_?)?card_?(number|no|num|pan)|pan|cvv|cvc",
    Personal.TOKEN: r"(.*_)?(passwd|password|pwd|secret|api_?key|access_?key|private_?key|token|jwt)(_hash)?",
    Personal.NAME: r"(first|last|full|given|family|sur|maiden|middle)_?name|fio",
    Personal.BIRTH: r"(date_?of_?)?birth(_?(date|day))?|dob|born(_?(on|at))?",
    Personal.PLACE: r"(home_?|postal_?|street_?|delivery_?|shipping_?|billing_?)address|street(_?name)?|zip(_?code)?"
    r"|post_?code|postal_?code",
    Personal.NUMBER: r"ssn|social_security(_number)?|passport(_?(number|no))?|tax_?(id|number)|inn|snils|national_?id"
    r"|driver_?licen[sc]e(_number)?",
}
_BY_NAME = [(what, re.compile(pattern)) for what, pattern in _NAMES.items()]
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

_EMAIL = re.compile(r"[^@\s]{1,64}@[\w-]+(\.[\w-]+)+")
_PHONE = re.compile(r"\+\d[\d\s()./-]{6,18}\d")
_IBAN = re.compile(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}")
_CARD = re.compile(r"\d(?:[ -]?\d){12,18}")
_JWT = re.compile(r"eyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]*")
_SEPARATORS = str.maketrans("", "", " -")

_LEAST_SHARE = 5
"""One value in so many has to look like it."""
_MOST_PATHS = 2_000
_MOST_LEVELS = 12
_LONGEST = 320


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A field that looks personal, and whether its values say so or its name alone."""

    path: Path
    what: Personal
    is_by_value: bool

    def __str__(self) -> str:
        return f"{'.'.join(self.path)} looks like {self.what}{'' if self.is_by_value else ' by its name'}"


@dataclass(slots=True)
class Sightings:
    """Fields of documents of one collection: how often each was there, and what its values looked like."""

    counts: Counter[Path] = field(default_factory=Counter)
    arrays: Counter[Path] = field(default_factory=Counter)
    """How often a field held an array."""
    shapes: Counter[tuple[Path, Personal]] = field(default_factory=Counter)

    def add(self, document: dict[str, Value]) -> None:
        """Look at one decoded document."""
        for path, value in _fields(document, ()):
            if path not in self.counts and len(self.counts) >= _MOST_PATHS:
                continue
            self.counts[path] += 1
            if type(value) is list:
                self.arrays[path] += 1
            for each in value if type(value) is list else (value,):
                what = shape_of(each) if type(each) is str else None
                if what is not None:
                    self.shapes[path, what] += 1

    def suspicions(self) -> list[Suspicion]:
        """What looks personal, in the order in which fields came."""
        found = []
        for path, count in self.counts.items():
            seen = [(self.shapes[path, what], what) for what in Personal if self.shapes[path, what]]
            most = max(seen, default=None)
            by_name = name_of(path[-1])
            if most is not None and most[0] * _LEAST_SHARE >= count:
                found.append(Suspicion(path, most[1], is_by_value=True))
            elif by_name is not None and path != ("_id",):
                found.append(Suspicion(path, by_name, is_by_value=False))
        return found


def name_of(name: str) -> Personal | None:
    """What a field of this name is suspected to hold."""
    plain = _HUMP.sub("_", name).lower().replace("-", "_")
    return next((what for what, pattern in _BY_NAME if pattern.fullmatch(plain)), None)


def shape_of(text: str) -> Personal | None:
    """What a text looks like."""
    if not 6 <= len(text) <= _LONGEST and not text.startswith("eyJ"):
        return None
    if "@" in text:
        return Personal.EMAIL if _EMAIL.fullmatch(text) else None
    if text.startswith("eyJ"):
        return Personal.TOKEN if _JWT.fullmatch(text) else None
    if text.startswith("+"):
        return Personal.PHONE if _PHONE.fullmatch(text) else None
    plain = text.translate(_SEPARATORS)
    if _IBAN.fullmatch(plain):
        return Personal.IBAN if _is_iban(plain) else None
    if _CARD.fullmatch(text):
        return Personal.CARD if _is_card(plain) else None
    return Personal.IP if _is_address(text) else None


def is_covered(rules: Rules, path: Path) -> bool:
    """Whether a rule leaves out or masks this field, or what it is in."""
    return any(reaches(rule, path) for rule in (*rules.exclude, *(each for each, _ in rules.masks)))


def reaches(rule: Path, path: Path) -> bool:
    """Whether a path of a rule names this field, or one that it is in; any field is any but ``_id``."""
    if rule[:1] == (ANY_FIELD,) and path[:1] == KEY:
        return False
    return len(rule) <= len(path) and all(part in (ANY_FIELD, name) for part, name in zip(rule, path, strict=False))


def unknown_paths(rules: Iterable[Path], seen: Iterable[Path]) -> list[Path]:
    """Paths of rules that no document had."""
    fields = list(seen)
    return [rule for rule in rules if not any(reaches(rule, path) for path in fields)]


def _fields(value: Value, path: Path) -> Iterator[tuple[Path, Value]]:
    """Every field with its path; arrays are gone through."""
    if len(path) >= _MOST_LEVELS:
        return
    if type(value) is dict:
        for name, inner in value.items():
            here = (*path, name)
            yield here, inner
            yield from _fields(inner, here)
    elif type(value) is list:
        for each in value:
            if type(each) in (dict, list):
                yield from _fields(each, path)


def _is_iban(text: str) -> bool:
    """ISO 13616: the remainder is 1."""
    return int("".join(str(int(each, 36)) for each in text[4:] + text[:4])) % 97 == 1


def _is_card(digits: str) -> bool:
    """The check digit of Luhn (ISO/IEC 7812-1)."""
    doubled = [int(each) * 2 for each in digits[-2::-2]]
    return (sum(map(int, digits[-1::-2])) + sum(each - 9 if each > 9 else each for each in doubled)) % 10 == 0


def _is_address(text: str) -> bool:
    if text.count(".") != 3 and text.count(":") < 2:
        return False
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
