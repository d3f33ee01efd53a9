"""A mart as values: its key, columns, checks and select. Knows neither files nor a database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from warehouse_jobs.marts.checks import Check
    from warehouse_jobs.marts.incremental import Incremental

VALID_FROM = "etl_valid_from"
VALID_TO = "etl_valid_to"

_SCALARS = {
    "text": "text",
    "smallint": "smallint",
    "integer": "integer",
    "bigint": "bigint",
    "numeric": "numeric",
    "double precision": "double precision",
    "boolean": "boolean",
    "date": "date",
    "timestamptz": "timestamp with time zone",
    "timestamp": "timestamp without time zone",
    "interval": "interval",
    "uuid": "uuid",
    "jsonb": "jsonb",
}

COLUMN_TYPES = _SCALARS | {f"{name}[]": f"{catalog}[]" for name, catalog in _SCALARS.items()}
"""The types that a mart column may have, with their names in PostgreSQL's catalog (``format_type``).

All of them have an equality operator, without which a version cannot be compared (``json`` has none).
"""


@dataclass(frozen=True, slots=True)
class MartColumn:
    """A column of the select.

    A tracked column that changes makes a new version of its row; an untracked one is overwritten in the
    current version. ``sources`` are the replicated columns that it is computed from, as ``table.column``.
    """

    name: str
    type: str
    description: str
    tracked: bool = True
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mart:
    """One mart. ``columns`` are those of the select, in its order; the validity columns are the loader's.

    ``children`` are the child tables among its sources, each with the table of the collection that it belongs to.
    ``incremental`` None: every load computes every row.
    """

    name: str
    description: str
    key: tuple[str, ...]
    columns: tuple[MartColumn, ...]
    checks: tuple[Check, ...]
    sql: str
    children: tuple[tuple[str, str], ...] = ()
    incremental: Incremental | None = None

    @property
    def column_names(self) -> tuple[str, ...]:
        """Every column of the select."""
        return tuple(column.name for column in self.columns)

    @property
    def tracked(self) -> tuple[str, ...]:
        """The columns whose change makes a new version."""
        return tuple(column.name for column in self.columns if column.tracked and column.name not in self.key)

    @property
    def untracked(self) -> tuple[str, ...]:
        """The columns that are overwritten in place."""
        return tuple(column.name for column in self.columns if not column.tracked and column.name not in self.key)

    @property
    def history(self) -> str:
        """The table of all versions."""
        return f"{self.name}_history"

    @property
    def current(self) -> str:
        """The partition of the history that holds the current versions."""
        return f"{self.name}_history_current"

    @property
    def closed(self) -> str:
        """The partition of the history that holds the closed versions."""
        return f"{self.name}_history_closed"
