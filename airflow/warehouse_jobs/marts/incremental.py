"""How a mart says that only some of its keys have to be computed, as values. Knows neither files nor a database."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KeySource:
    """A replicated table that the select reads, and how the rows of some keys are found in it.

    Either ``column`` holds the key, or the table is a child whose rows belong to the documents of the source
    ``parent``. Rows enter or leave a window of time by the column ``time``.
    """

    table: str
    column: str = ""
    parent: str = ""
    time: str = ""


@dataclass(frozen=True, slots=True)
class Incremental:
    """A row of the mart depends on nothing but the rows of its ``key`` in the ``sources``, and on the time of the load.

    ``key`` is a column of the mart's key. ``edges`` are SQL expressions of the time of a load: rows whose time lies
    between what an edge was and what it is now may count where they did not, or the other way round.
    """

    key: str
    sources: tuple[KeySource, ...]
    edges: tuple[str, ...] = ()
