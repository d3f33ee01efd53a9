"""Where the warehouse is, and who said so."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Address:
    """A connection string, which is a secret and has no place in a repr, and what a person corrects it in."""

    dsn: str = field(repr=False)
    told_by: str = "the connection string"
