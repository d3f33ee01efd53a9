"""Rules as values: which collections cross, which paths stay behind, and what stands in place of a value."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from replicator_service.core.temporary_names import is_temporary

ANY_FIELD = "*"
"""A part of a path that stands for every field name."""


class MaskKind(StrEnum):
    """What becomes of a value."""

    HMAC = "hmac"
    KEEP_FIRST = "keep_first"
    KEEP_LAST = "keep_last"
    TRUNCATE_IP = "truncate_ip"
    TRUNCATE_DATE = "truncate_date"
    NULL = "null"
    CONSTANT = "constant"


DATE_UNITS = ("day", "month", "year")

Constant = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Mask:
    """How a value is masked.

    ``count`` is the number of characters that are kept, or of the bits of an IPv4 address; ``count6`` is that of an
    IPv6 one. ``unit`` is what a date is cut to, ``constant`` what stands in place of every value.
    """

    kind: MaskKind
    count: int = 0
    count6: int = 0
    unit: str = ""
    constant: Constant | None = None


Path = tuple[str, ...]

KEY: Path = ("_id",)


@dataclass(frozen=True, slots=True)
class Rules:
    """What of a collection's documents does not cross as it is. Paths go into sub-documents and through arrays."""

    exclude: tuple[Path, ...] = ()
    masks: tuple[tuple[Path, Mask], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.exclude or self.masks)

    @property
    def needs_key(self) -> bool:
        """Whether a secret key belongs to them."""
        return any(mask.kind is MaskKind.HMAC for _, mask in self.masks)

    @property
    def hides_keys(self) -> bool:
        """Whether ``_id`` is masked, so that rows have other keys than documents."""
        return any(path == KEY for path, _ in self.masks)


NO_RULES = Rules()


@dataclass(frozen=True, slots=True)
class Selection:
    """Which collections cross. ``include`` and ``exclude`` are patterns as of a shell; without the former all do.

    ``is_guarded``: there are rules, so collections that only the server makes (of ``$out``, for instance) do not cross:
    whose documents they hold is known when they are renamed, and then they are read.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    is_guarded: bool = False

    def crosses(self, collection: str) -> bool:
        """Whether this collection is replicated."""
        if self.is_guarded and is_temporary(collection):
            return False
        if self.include and not _matches(collection, self.include):
            return False
        return not _matches(collection, self.exclude)


def _matches(collection: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(collection, pattern) for pattern in patterns)
