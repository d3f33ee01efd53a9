"""Names of collections that only the server makes, for a moment."""

from __future__ import annotations

import re

_TEMPORARY = re.compile(
    r"""
      tmp\.agg_out\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}   # $out; mapReduce is an aggregation since 4.4
    | tmp[0-9A-Za-z]{5}\.renameCollection                      # a rename from another database
    | tmp[0-9A-Za-z]{5}\.convertToCapped\..+                   # and the name of the collection
    """,
    re.VERBOSE | re.DOTALL,
)
"""Seen with 6.0; in the server's source ``makeUniqueCollectionName`` puts a digit or letter for each ``%``. Names of
releases before 5.0 (``tmp.agg_out.1``, ``tmp.mr.things_1``) are whatever a user calls so now."""


def is_temporary(collection: str) -> bool:
    """Whether only the server makes collections of this name, for a moment."""
    return _TEMPORARY.fullmatch(collection) is not None
