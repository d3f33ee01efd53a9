"""Secrets out of text: whatever an error or a log line quotes, passwords do not leave with it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MASK = "***"

_USER_INFORMATION = re.compile(
    r"(?P<scheme>\b[a-z][a-z0-9+.-]*://)(?P<user>[^:/?#@\s]*):(?P<secret>[^\s]*)@", re.IGNORECASE
)
_EXAMPLE = "://USER:PASSWORD@"
"""How hints show an address."""
_SECRET_WORD = re.compile(
    r"(?P<name>\b(?!token_resource\b)\w*(?:password|passwd|pwd|passfile|secret|token)\w*\s*[=:]\s*)(?P<value>'(?:[^'\\]|\\.)*'|[^\s&;,'\"]+)",
    re.IGNORECASE,
)
_KEYWORD = re.compile(r"(\w+)\s*=\s*('(?:[^'\\]|\\.)*'|[^\s]*)")
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_QUOTED = re.compile(r"(?P<quote>['\"`])(?P<text>[^'\"`]+)(?P=quote)")


def mask_address(text: str) -> str:
    """Replace the password of every address in ``text``, and the value of every option that is named like one."""
    masked = _USER_INFORMATION.sub(_without_secret, text)
    return _SECRET_WORD.sub(rf"\g<name>{MASK}", masked)


def _without_secret(match: re.Match[str]) -> str:
    if match[0].endswith(_EXAMPLE):
        return match[0]
    return f"{match['scheme']}{match['user']}:{MASK}@"


def mask_secret_address(text: str) -> str:
    """The address of a setting without what is secret in it; of a web address that is all behind the host."""
    scheme, found, rest = text.partition("://")
    if found and scheme in ("http", "https"):
        host = re.split("[/?#]", rest, maxsplit=1)[0].rpartition("@")[2]
        return f"{scheme}://{host}/{MASK}"
    return mask_address(text)


def place_of(address: str) -> str:
    """Hosts, ports and database of an address, and nothing else of it: for a log line that says where things are.

    PostgreSQL's other form, ``host=... password=...``, gives the same.
    """
    scheme, found, rest = address.partition("://")
    if not found:
        parts = dict(_KEYWORD.findall(address))
        return f"postgresql://{parts.get('host', '')}:{parts.get('port', '5432')}/{parts.get('dbname', '')}"
    before, _, options = rest.partition("?")
    # An @ behind a question mark may be the end of a password that was not escaped.
    return f"{scheme}://{MASK if '@' in options else before.rpartition('@')[2]}"


class Mask:
    """Masks text that may quote parts of known addresses, which drivers do when an address is malformed."""

    def __init__(self, addresses: Iterable[str] = ()) -> None:
        self._addresses = tuple(addresses)

    def __call__(self, text: str) -> str:
        """The text without passwords, nor quoted pieces of an address that may hold one."""
        masked = mask_address(text)
        return _QUOTED.sub(self._quoted, masked) if self._addresses else masked

    def _quoted(self, match: re.Match[str]) -> str:
        text = match["text"]
        if any(_may_be_secret(text, address) for address in self._addresses):
            return f"{match['quote']}{MASK}{match['quote']}"
        return match[0]


def _may_be_secret(text: str, address: str) -> bool:
    """Whether a quoted text is the password of an address, or a piece of the address that reaches into it.

    A word that happens to be a password or a part of one, as the name of a table may be, is not: drivers quote pieces
    of an address that they cannot read, and a password that is encoded as it should be is read.
    """
    _, _, rest = address.partition("://")
    information, found, _ = rest.rpartition("@")
    user, _, password = information.partition(":")
    if not found or not password or text == user:
        return False
    start = rest.find(text)
    is_piece = any(separator in text for separator in ":/?#@") and 0 <= start < len(information)
    pieces = re.split(r"[:/?#@]", password)
    is_unreadable = len(pieces) > 1 or _BAD_PERCENT.search(password) is not None
    return is_piece or (is_unreadable and text in pieces)
