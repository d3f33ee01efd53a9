"""What a generation did, counted from the server's answers."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Counts:
    """Documents of one collection that were inserted, changed or removed, and operations that changed nothing."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    unchanged: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.inserted + other.inserted,
            self.updated + other.updated,
            self.deleted + other.deleted,
            self.unchanged + other.unchanged,
        )

    @property
    def operations(self) -> int:
        """All operations, with and without effect."""
        return self.inserted + self.updated + self.deleted + self.unchanged

    @property
    def effective(self) -> int:
        """The operations that changed something."""
        return self.operations - self.unchanged


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts per collection, in order of the collections' names."""

    collections: dict[str, Counts] = field(default_factory=dict)

    @property
    def total(self) -> Counts:
        """The counts of all collections together."""
        return sum(self.collections.values(), start=Counts())

    def __add__(self, other: Summary) -> Summary:
        names = sorted({*self.collections, *other.collections})
        none = Counts()
        return Summary({name: self.collections.get(name, none) + other.collections.get(name, none) for name in names})
