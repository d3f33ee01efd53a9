"""Names in PostgreSQL: what a database, a collection, a key and an index are called there.

Every name is a function of its input alone, is never empty and fits into PostgreSQL's 63 bytes, beyond which
the server would cut it silently (documented under "Identifiers and Key Words"). A name that has to be cut, or
that something else already has, gets eight hexadecimal digits of a hash, so that two things never share a
name.

Tables, primary keys and indexes share one namespace in a schema. Keys end in ``_pkey`` and indexes in
``_idx``; :func:`table_name` never answers with such a name, so a table cannot stand in the way of another
table's key.
"""

from __future__ import annotations

import hashlib
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

MAX_NAME_BYTES = 63
RELATION_SUFFIXES = ("_pkey", "_idx")
"""How the names of keys and indexes end, and those of tables do not."""

_HASH_DIGITS = 8
_OUR_SCHEMAS = frozenset({"information_schema", "replicator", "mart"})
_OUR_PREFIX = "db_"


def table_name(collection: str) -> str:
    """Return the snake_case name of a collection: ``HTTPServerLogs`` is ``http_server_logs``.

    Letters, marks and digits of any script stay, lower-cased; everything else separates words. A collection
    without a single letter or digit is called ``collection`` and its hash.
    """
    name = "_".join(_words(collection)).lower()
    if not name:
        return _hashed("collection", collection)
    if size(name) > MAX_NAME_BYTES or name.endswith(RELATION_SUFFIXES):
        return _hashed(name, collection)
    return name


def resolve_table_name(collection: str, taken: Collection[str]) -> str:
    """Return :func:`table_name`, with a hash of the collection's name when another collection has it.

    The answer depends on ``taken``: whoever replicates a growing set of collections has to remember the
    answers, because ``Users`` and ``users`` are told apart only by which came first.
    """
    name = table_name(collection)
    attempt = 0
    while name in taken:
        # The first attempt hashes the name itself; only a collision of hashes ever needs a second.
        name = _hashed("_".join(_words(collection)).lower() or "collection", collection, attempt)
        attempt += 1
    return name


def column_name(path: Sequence[str]) -> str:
    """Return the snake_case name of a field at a path: ``("device", "userAgent")`` is ``device_user_agent``.

    A path without a single letter or digit is called ``field`` and its hash.
    """
    name = "_".join(_words("_".join(path))).lower()
    if not name or size(name) > MAX_NAME_BYTES:
        return _hashed(name or "field", "\0".join(path))
    return name


def schema_name(database: str) -> str:
    """Return the schema of a MongoDB database: its own name, unless that is kept for something else.

    PostgreSQL's ``pg_...`` and ``information_schema``, and our ``replicator`` and ``mart``, get the prefix
    ``db_``. So does a database that is already called ``db_mart``: otherwise it would share a schema with
    ``mart``.
    """
    bare = database
    while bare.startswith(_OUR_PREFIX):
        bare = bare.removeprefix(_OUR_PREFIX)
    reserved = not bare or bare.startswith("pg_") or bare in _OUR_SCHEMAS
    name = _OUR_PREFIX + database if reserved else database
    return name if size(name) <= MAX_NAME_BYTES else _hashed(name, database)


def primary_key_name(table: str) -> str:
    """Return the name of a table's primary key, ``<table>_pkey`` as PostgreSQL would call it."""
    return _within_limit(table, "_pkey")


def index_name(table: str, columns: Sequence[str]) -> str:
    """Return the name of a plain index: ``user_sessions__user_id_idx``.

    Two underscores stand between the parts, since one would not tell the columns ``a, b`` from the column
    ``a_b``. Parts that could blur this border bring their hash along.
    """
    parts = (table, *columns)
    name = "__".join(parts)
    if any("__" in part or part.startswith("_") or part.endswith("_") for part in parts):
        return _hashed(name, "\0".join(parts), suffix="_idx")
    return _within_limit(name, "_idx")


def size(name: str) -> int:
    """Count the bytes that PostgreSQL counts."""
    return len(_encoded(name))


def cut(name: str, limit: int = MAX_NAME_BYTES) -> str:
    """Cut a name where PostgreSQL would: to at most ``limit`` bytes, never inside a character."""
    return _encoded(name)[:limit].decode("utf-8", "ignore")


def _words(collection: str) -> list[str]:
    """Split a name at all that is no letter, mark or digit, and where lower case turns into upper."""
    words: list[str] = []
    word = ""
    for position, character in enumerate(collection):
        if not _belongs_to_a_word(character):
            words.append(word)
            word = ""
            continue
        following = collection[position + 1 : position + 2]
        if word and character.isupper() and (not word[-1].isupper() or following.islower()):
            words.append(word)
            word = ""
        word += character
    return [found for found in (*words, word) if found]


def _belongs_to_a_word(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMN"


def _within_limit(name: str, suffix: str) -> str:
    if size(name) + len(suffix) <= MAX_NAME_BYTES:
        return name + suffix
    return _hashed(name, name, suffix=suffix)


def _hashed(name: str, source: str, attempt: int = 0, *, suffix: str = "") -> str:
    salt = f"\0{attempt}" if attempt else ""
    digest = hashlib.sha256(_encoded(source + salt)).hexdigest()[:_HASH_DIGITS]
    head = cut(name, MAX_NAME_BYTES - _HASH_DIGITS - 1 - len(suffix)).rstrip("_")
    return f"{head}_{digest}{suffix}"


def _encoded(name: str) -> bytes:
    # A lone surrogate cannot come out of MongoDB, but these functions promise an answer for every string.
    return name.encode("utf-8", "surrogatepass")
