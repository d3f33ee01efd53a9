"""Parts: what is compared by one task. Together they cover every document and every row.

Small collections share a part, in the order of their names; each is compared at its own point. A large one is cut into
ranges of the order of ``_id``, so that each is read well within MongoDB's snapshot history, with one more part that
compares keys alone: a row that no document explains belongs to no range of MongoDB's order.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from replicator_service.core.errors import ConfigurationError
from replicator_service.core.mapping.problems import closest
from replicator_service.reconcile.servers import Servers, opened
from replicator_service.reconcile.shares import PartLimits, enlarged, shares
from replicator_service.sink.control.registry import registered
from replicator_service.source.read.mongo import Range
from replicator_service.source.read.size import Size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from replicator_service.configuration.settings import Settings

PART_DOCUMENTS = 2_000_000
PART_BYTES = 2 * 2**30
"""A part has at most about so many documents and bytes: it is read in less than a minute."""


class Scope(StrEnum):
    """What of a collection a part compares."""

    WHOLE = "whole"
    RANGE = "range"
    KEYS = "keys"


@dataclass(frozen=True, slots=True)
class Part:
    """One part. Only whole collections share one.

    ``start`` and ``end`` are the hexadecimal BSON of places in the order of ``_id``. ``documents`` estimates how many
    it has, for progress.
    """

    collections: tuple[str, ...]
    scope: Scope = Scope.WHOLE
    start: str | None = None
    end: str | None = None
    number: int = 1
    of: int = 1
    documents: int = 0

    @property
    def label(self) -> str:
        """How people and the stored run call it."""
        match self.scope:
            case Scope.WHOLE if len(self.collections) > 1:
                return f"{self.collections[0]} to {self.collections[-1]} ({len(self.collections)} collections)"
            case Scope.WHOLE:
                return "".join(self.collections) or "no collections"
            case Scope.RANGE:
                return f"{self.collections[0]} {self.number}/{self.of}"
            case Scope.KEYS:
                return f"{self.collections[0]} keys"

    @property
    def is_whole(self) -> bool:
        """Whether no other part has anything of its collections."""
        return self.scope is Scope.WHOLE

    @property
    def collection(self) -> str:
        """The collection of a part that has one."""
        (collection,) = self.collections
        return collection

    def singles(self) -> Iterator[Part]:
        """The part collection by collection."""
        return (replace(self, collections=(name,)) for name in self.collections)

    @property
    def range(self) -> Range:
        """The part's place in the order of ``_id``."""
        start, end = (None if place is None else bytes.fromhex(place) for place in (self.start, self.end))
        return Range(start, end)

    def as_json(self) -> dict[str, Any]:
        """The part for another process."""
        return {**asdict(self), "collections": list(self.collections), "scope": self.scope.value}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Part:
        """The part that :meth:`as_json` has written."""
        return cls(**{**value, "collections": tuple(value["collections"]), "scope": Scope(value["scope"])})


def plan_parts(
    settings: Settings,
    *,
    collections: Sequence[str] | None = None,
    part_documents: int = PART_DOCUMENTS,
    part_bytes: int = PART_BYTES,
    most: int | None = None,
) -> list[Part]:
    """The parts of these collections, or of every collection that either side knows, large ones first.

    There are at most ``most`` of them: if need be they are larger than asked for. Raises :class:`ConfigurationError`
    for a collection that neither side knows.
    """
    with opened(settings) as servers:
        existing = {name for name, each in servers.source.collections().items() if each.is_streamed}
        remembered = [each.collection for each in registered(servers.read, servers.stream)]
        known = {name for name in remembered if servers.source.crosses(name)} | existing
        wanted = sorted(known if collections is None else set(collections))
        _require_known(wanted, known)
        found = servers.source.sizes([name for name in wanted if name in existing], small=part_bytes)
        sizes = {name: found.get(name, Size(0, 0)) for name in wanted}
        limits = enlarged(PartLimits(part_documents, part_bytes), sizes, most)
        ranged: list[Part] = []
        whole: dict[str, Size] = {}
        for name, size in sizes.items():
            parts = list(_ranges_of(servers, name, size, limits.ranges(size)))
            ranged += parts
            if not parts:
                whole[name] = size
        left = None if most is None else most - len(ranged)
        shared = shares(limits, whole, left) if whole else []
    return ranged + [Part(tuple(names), documents=sum(whole[name].documents for name in names)) for names in shared]


def _ranges_of(servers: Servers, collection: str, size: Size, ranges: int) -> Iterator[Part]:
    """The parts of a collection that has to be cut, and can be."""
    places = [place.hex() for place in servers.source.boundaries(collection, ranges)] if ranges > 1 else []
    if not places:
        return
    count = len(places) + 1
    for number, (start, end) in enumerate(zip([None, *places], [*places, None], strict=True), start=1):
        yield Part((collection,), Scope.RANGE, start, end, number, count, size.documents // count)
    yield Part((collection,), Scope.KEYS, documents=size.documents)


def _require_known(wanted: Sequence[str], known: set[str]) -> None:
    for name in wanted:
        if name not in known:
            meant = closest(name, sorted(known))
            raise ConfigurationError(
                f"there is no collection {name!r}, neither in MongoDB nor among the replicated ones",
                hint=f"Did you mean {meant}?" if meant else f"Known are: {', '.join(sorted(known)[:20]) or 'none'}",
            )
