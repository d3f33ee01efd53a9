"""Which values fit a column, and their text. A value fits when the column then equals it.

Every function gives PostgreSQL's input for a value, not yet escaped for COPY, or None when the value does not
fit: it then goes to ``_extra``. The table of all of it is ``docs/reference/types.md``.

A ``text`` column takes every string, and identifiers of the other scalar types as the key would write them. A reference
to a document whose ``_id`` is 1001 then joins it: both read ``$number:1001``. Strings read as themselves unless they
could be taken for such a text or hold U+0000; those read as JSON strings behind ``$string:``, again as in the key. So
two values of one column that MongoDB tells apart never read the same, with one exception that is wanted: an ObjectId
and the string of its digits (applications store references either way).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.core.bson import fit_of
from replicator_service.core.codec.extjson import json_text
from replicator_service.core.mapping.model import ColumnType

if TYPE_CHECKING:
    from replicator_service.core.bson.declaration import Fit

SCALARS: dict[ColumnType, Fit] = {
    column: json_text if column is ColumnType.JSONB else fit_of(column)
    for column in ColumnType
    if column.element is None
}
