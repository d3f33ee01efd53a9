"""Addresses: how one is written, and what is wrong with one, or with a database's name, by its form alone.

Drivers accept much of this and then wait for a host that is a piece of the password. Nothing here quotes an address.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, unquote_to_bytes, urlsplit

_QUOTES = ("'", '"', "`")
_DRIVER = re.compile(r"postgres(ql)?\+\w+://")
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_HOST = re.compile(r"(?P<name>\[[^\]]*\]|[^:]*)(?::(?P<port>.*))?")
_DATABASE = re.compile(r"mongodb(?:\+srv)?://[^/?]*/(?P<database>[^?/.]*)")
_ENCODING = "User and password are percent-encoded: @ is %40, : is %3A, / is %2F, ? is %3F, % is %25."
_UNENCODED = "has a user name or password with a character that stands for something else in an address"

_FORBIDDEN_IN_NAMES = frozenset('/\\. "$*<>:|?\0')
SYSTEM_DATABASES = frozenset({"admin", "local", "config"})
_NAME_BYTES = 63
_EVERY_INTERFACE = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - compared with, not bound to


@dataclass(frozen=True, slots=True)
class Flaw:
    """What is wrong, as the end of a sentence that begins with "it", and what to do about it."""

    cause: str
    fix: str


def mongo_uri_flaw(uri: str) -> Flaw | None:
    """What is wrong with an address of MongoDB, if anything can be told from here."""
    scheme, found, rest = uri.partition("://")
    form = "mongodb://USER:PASSWORD@HOST:PORT/?replicaSet=NAME&authSource=admin"
    if uri.startswith(_QUOTES):
        return _quoted()
    if scheme.startswith("postgres"):
        return Flaw("is an address of PostgreSQL", f"Write {form}")
    if not found or scheme not in ("mongodb", "mongodb+srv"):
        return Flaw("does not begin with mongodb:// or mongodb+srv://", f"Write {form}")
    flaw = _flaw_after_scheme(rest, ends_authority="/?", is_colon_plain=False)
    hosts = re.split("[/?]", rest, maxsplit=1)[0].rpartition("@")[2]
    if flaw is None and scheme == "mongodb+srv" and re.search("[,:]", hosts):
        return Flaw(
            "is of the form mongodb+srv:// and names a port or several hosts",
            "That form has one name, without a port: DNS knows the hosts. Or write mongodb:// and name them all.",
        )
    return flaw


def database_in(uri: str) -> str:
    """The database that an address of MongoDB names, ``mongodb://HOST/DATABASE?...``; empty when it names none.

    One of MongoDB's own says where the user is kept, not what is to be replicated.
    """
    found = _DATABASE.match(uri)
    name = "" if found is None else unquote(found["database"])
    return "" if name in SYSTEM_DATABASES else name


def postgres_dsn_flaw(dsn: str) -> Flaw | None:
    """What is wrong with an address of PostgreSQL; its other form, ``host=... dbname=...``, is left to libpq."""
    scheme, found, rest = dsn.partition("://")
    form = "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
    if dsn.startswith(_QUOTES):
        return _quoted()
    if dsn.startswith("jdbc:"):
        return Flaw("is in the form of Java", f"Write {form}")
    if _DRIVER.match(dsn):
        return Flaw("names a driver of SQLAlchemy", "Leave out the + and what follows it up to ://")
    if scheme.startswith("mongodb"):
        return Flaw("is an address of MongoDB", f"Write {form}")
    if found and scheme in ("postgresql", "postgres"):
        return _flaw_after_scheme(rest, ends_authority="/", is_colon_plain=True)
    if "=" not in dsn:
        return Flaw("does not begin with postgresql://", f"Write {form}")
    return None


def webhook_flaw(url: str) -> Flaw | None:
    """What is wrong with the address of a webhook."""
    form = "https://HOST/PATH"
    if url.startswith(_QUOTES):
        return _quoted()
    try:
        parts = urlsplit(url)
        has_place = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return Flaw("has a host or a port that cannot be", f"Write {form}")
    if parts.scheme not in ("http", "https") or not has_place:
        return Flaw("does not begin with http:// or https:// and a host", f"Write {form}")
    if not url.isascii() or any(character.isspace() for character in url):
        return Flaw("holds a character that addresses do not have as it is", "Percent-encode it.")
    return None


def database_flaw(name: str) -> Flaw | None:
    """What keeps MongoDB from having, or from streaming, a database of this name."""
    if name in SYSTEM_DATABASES:
        return Flaw("is a database of MongoDB's own, which has no change streams", "Name the database of the data.")
    if _FORBIDDEN_IN_NAMES & set(name):
        return Flaw("holds a character that names of databases cannot have", "Give the name alone, without quotes.")
    if len(name.encode()) > _NAME_BYTES:
        return Flaw(f"is longer than {_NAME_BYTES} bytes", "MongoDB has no such names.")
    return None


def listening_port_flaw(text: str) -> Flaw | None:
    """What keeps a server from listening on a port that is given as text; 0 stands for any that is free."""
    if text.isascii() and text.isdigit() and int(text) <= 65_535:
        return None
    return Flaw("is no number from 0 to 65535", "Give the number of a port, or 0 for one that is free.")


def url_host(host: str) -> str:
    """A host as an address names it, where somebody on this machine can reach it."""
    if host in _EVERY_INTERFACE:
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _quoted() -> Flaw:
    return Flaw("is in quotation marks", "Remove them: not everything that reads an env file does so by itself.")


def _flaw_after_scheme(rest: str, *, ends_authority: str, is_colon_plain: bool) -> Flaw | None:
    """Look for separators where a user name or a password holds them as they are.

    An ``@`` may stand among the options, so one after the hosts tells nothing by itself; it does where what comes
    before does not look like a host and a port, or is not ended by the usual ``/``.
    """
    authority = re.split(f"[{ends_authority}]", rest, maxsplit=1)[0]
    beyond = rest[len(authority) :]
    information, has_user, hosts = authority.rpartition("@")
    ports = [match["port"] for host in hosts.split(",") if (match := _HOST.fullmatch(host))]
    has_odd_port = any(port is not None and not _is_port(port) for port in ports)
    is_cut_short = "@" in beyond and (has_odd_port or beyond.startswith("?") or "@" in beyond.partition("?")[0])
    has_colons = information.count(":") > 1 and not is_colon_plain
    if "@" in information or is_cut_short or has_colons or (has_user and not _is_encoded(information)):
        return Flaw(_UNENCODED, _ENCODING)
    if has_odd_port:
        return Flaw("has a port that is not a number from 1 to 65535", "Write HOST:PORT, or HOST alone.")
    return None


def _is_encoded(text: str) -> bool:
    """Whether every % begins an encoded byte, and the bytes are UTF-8, as both drivers take them to be."""
    try:
        unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        return False
    return not _BAD_PERCENT.search(text)


def _is_port(text: str) -> bool:
    return text == "" or (text.isascii() and text.isdigit() and 1 <= int(text) <= 65_535)
