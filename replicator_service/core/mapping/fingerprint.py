"""Whether the mapping of a collection has changed in a way that rows already written do not follow.

The shape of the tables does not tell: another path for the same column, or a column that is no longer mapped
and whose values now belong into ``_extra``, leaves the tables as they are and every row wrong. So the service
stores the fingerprint that a collection was last written with, and reads the collection again when it
differs.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from replicator_service.core.mapping.model import TypedCollection

if TYPE_CHECKING:
    from replicator_service.core.mapping.model import CollectionMapping

_IGNORED = frozenset({"indexes", "description", "rules"})
_RULES = 2
"""Of what a typed row holds, see ``docs/reference/types.md``; 2: identifiers of every scalar type fit ``text``.

It grows when rows would be written in another way than before: the first start of that release reads them again.
"""


def fingerprint(mapping: CollectionMapping) -> str:
    """Return 64 hexadecimal digits that are equal exactly when rows written under the mapping are equal.

    Indexes and descriptions do not count, and neither does the order of columns: they change no row's content.
    """
    content = {"kind": type(mapping).__name__, **_content(asdict(mapping))}
    if mapping.rules:
        content["privacy"] = {
            "exclude": sorted(mapping.rules.exclude),
            "mask": sorted([path, asdict(mask)] for path, mask in mapping.rules.masks),
        }
    if isinstance(mapping, TypedCollection):
        content["rules"] = _RULES
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()


def _content(fields: dict[str, object]) -> dict[str, object]:
    content: dict[str, object] = {}
    for key, value in fields.items():
        if key in _IGNORED:
            continue
        if key in {"columns", "children"} and isinstance(value, tuple | list):
            parts = [_content(part) for part in value if isinstance(part, dict)]
            content[key] = sorted(parts, key=lambda part: json.dumps(part, sort_keys=True))
        else:
            content[key] = value
    return content
