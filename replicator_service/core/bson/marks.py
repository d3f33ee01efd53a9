"""Marks inside a text of what PostgreSQL cannot hold: a mark costs nothing where there is none.

* U+0000 stays a raw character, which JSON text never has otherwise. It becomes U+FFFD in the table, and the original
  document is kept in ``_bson``.
* :data:`AMBIGUOUS`, a lone surrogate that no decoded string holds, stands in a field name like ``$oid`` that the source
  itself uses. It is removed, and ``_bson`` is kept: readers would take such a sub-document for an ObjectId.
* :data:`REWRITTEN` stands before a text that says in other characters what PostgreSQL cannot hold (see :mod:`text`). It
  is removed, and ``_bson`` is kept. It begins with the mark above, so it costs no search.
* Bytes that are no UTF-8 are U+0000 and, each, a lone surrogate (see :func:`text.decoded_text`), which is removed.
"""

from __future__ import annotations

import re

AMBIGUOUS = "\udc01"
REWRITTEN = AMBIGUOUS + "\udc02"
REPLACEMENT = "\ufffd"

_REMOVED = re.compile("[\udc00-\udfff]")


def unmarked(text: str) -> str:
    """Return what the table gets of a text with marks."""
    return _REMOVED.sub("", text.replace("\0", REPLACEMENT))
