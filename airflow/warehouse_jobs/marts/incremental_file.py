"""Reads the section ``incremental`` of a mart's ``.yml``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from warehouse_jobs.marts.incremental import Incremental, KeySource

if TYPE_CHECKING:
    from collections.abc import Iterator

_FIELDS = {"key", "sources", "edges"}
_SOURCE_FIELDS = {"key", "of", "time"}
_TABLE = re.compile(r"[^.\s\"]+")
_OURS = {"staged", "changed", "scope", "computed", "mart_select"}
"""Temporary tables of a load: a source of that name could not be told from them."""


@dataclass(frozen=True, slots=True)
class IncrementalReader:
    """Reads the section of a mart with this key and select; what is wrong is appended to ``faults``."""

    mart_key: tuple[str, ...]
    select: str
    faults: list[str]

    def incremental(self, content: object) -> Incremental | None:
        """The section, or None without one."""
        if content is None:
            return None
        fields = self._fields("incremental", content, _FIELDS)
        key = fields.get("key")
        if key not in self.mart_key:
            self.faults.append(f"incremental.key: must be a column of the key ({', '.join(self.mart_key)})")
        sources = tuple(self._sources(fields.get("sources")))
        edges = fields.get("edges") or []
        if not isinstance(edges, list) or not all(isinstance(edge, str) and edge.strip() for edge in edges):
            self.faults.append("incremental.edges: must be a list of SQL expressions of %(as_of)s")
            edges = []
        if "%(as_of)s" in self.select and not edges:
            self.faults.append("incremental.edges: is missing, and the select depends on %(as_of)s")
        if edges and not any(source.time for source in sources):
            self.faults.append("incremental.edges: no source has a time")
        return Incremental(str(key), sources, tuple(edge.strip() for edge in edges))

    def _sources(self, content: object) -> Iterator[KeySource]:
        if not isinstance(content, dict) or not content:
            self.faults.append("incremental.sources: must be a mapping of replicated tables to how keys are found")
            return
        for name, item in content.items():
            path = f"incremental.sources.{name}"
            fields = self._fields(path, item, _SOURCE_FIELDS)
            column, parent, time = (fields.get(field, "") for field in ("key", "of", "time"))
            if not isinstance(name, str) or not _TABLE.fullmatch(name) or name in _OURS:
                self.faults.append(f"{path}: is no name of a table that can be narrowed")
            elif not all(isinstance(each, str) for each in (column, parent, time)) or bool(column) == bool(parent):
                self.faults.append(f"{path}: needs either key (a column) or of (the table of its documents)")
            elif parent and not (content.get(parent) or {}).get("key"):
                self.faults.append(f"{path}.of: {parent} is no source with a key")
            elif parent and time:
                self.faults.append(f"{path}.time: is for tables with a key of their own")
            else:
                yield KeySource(name, column, parent, time)

    def _fields(self, path: str, content: object, allowed: set[str]) -> dict[str, Any]:
        if not isinstance(content, dict):
            self.faults.append(f"{path}: must be a mapping with {', '.join(sorted(allowed))}")
            return {}
        self.faults.extend(f"{path}: unknown field {extra}" for extra in sorted(map(str, content.keys() - allowed)))
        return {str(name): value for name, value in content.items()}
