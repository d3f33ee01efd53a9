"""What comments in PostgreSQL say of replicated tables and columns: where values come from, and how tables are joined.

The last line of each begins with ``MongoDB``: by that our comments are known again. What else somebody has written
about a table stays.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SCHEMA = "MongoDB database, replicated: each table is a collection, or an array of its documents. See their comments."

KEY = "MongoDB field _id as text, the key of the row. An ObjectId is its 24 hexadecimal digits."
DOCUMENT = "MongoDB document, whole, as Relaxed Extended JSON. A field of it: doc ->> 'name'."
ORDINAL = "MongoDB position in the array, from 0."
VALID_FROM = (
    "MongoDB cluster time of this version of the document. What is older than the first load has that one's time."
)
EXTRA = (
    "MongoDB fields that have no column, and values that did not fit theirs (which is null then), as JSON: "
    "_extra ->> 'name'. Null when there are none."
)
BSON = "MongoDB document as it is stored, where PostgreSQL cannot hold all of it (U+0000 in a text). Null elsewhere."

_OURS = re.compile(r"(?:\A|\n)MongoDB [^\n]*\Z")
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")


def is_ours(comment: str) -> bool:
    """Whether a comment was written by the service, or by nobody: otherwise it is left alone."""
    return not comment or _OURS.search(comment) is not None


def collection(name: str, children: Iterable[tuple[str, Sequence[str]]], description: str) -> str:
    """Describe the table of a collection, with those of its arrays by name and path."""
    arrays = ", ".join(f"{table} ({_path(path)})" for table, path in children)
    joined = f" Its arrays are rows of {arrays}: join them by _id." if arrays else ""
    return _described(description, f"MongoDB collection {_line(name)}, one row a document.{joined}")


def array(collection: str, path: Sequence[str], parent: str, description: str) -> str:
    """Describe a child table. Its first line is the reference that no constraint states, as PostGraphile reads it."""
    reference = f"@foreignKey (_id) references {_name(parent)} (_id)"
    about = f"MongoDB array {_path(path)} of {_line(collection)}, one row an element. Join: using (_id) with {parent}."
    return _described(reference, _described(description, about))


def column(path: Sequence[str], type_: str, description: str, *, from_parent: bool) -> str:
    """Describe a mapped column."""
    where = ", of the document that the element is in," if from_parent else ""
    return _described(description, f"MongoDB field {_path(path)}{where} as {type_}.")


def _described(description: str, about: str) -> str:
    return f"{description.strip()}\n{about}" if description.strip() else about


def _path(path: Sequence[str]) -> str:
    return _line(".".join(path))


def _line(text: str) -> str:
    """Write a name of MongoDB, which may hold anything, in one line."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)


def _name(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else '"' + name.replace('"', '""') + '"'
