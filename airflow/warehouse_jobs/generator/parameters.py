"""What makes a shop, and the stretch of time that is wanted of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any, Self, TypedDict, Unpack

from warehouse_jobs.generator.errors import ParametersError
from warehouse_jobs.generator.times import STEADY, WEEKLY, Rhythm, milliseconds

DEFAULT_SEED = 1
DEFAULT_UPDATE_SHARE = 0.2
DEFAULT_DELETE_SHARE = 0.05

LIFE_SIZE = 900
"""Seconds of a slot in which everything takes the time that it takes in a shop."""

MAX_PER_SLOT = 1 << 24
"""Documents of one collection in one slot that an ``_id`` can tell apart."""

_PRECISION = 10_000
_LIVE_SLOT_SECONDS = 5
_LIVE_USERS = 500
_LIVE_PRODUCTS = 100


@dataclass(frozen=True, slots=True)
class Interval:
    """The half-open stretch of time whose operations are wanted; both ends are aware times."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ParametersError(
                "the interval has no time zone", hint="Give both times with an offset, as in 2026-01-31T00:00:00+00:00."
            )
        if self.start >= self.end:
            raise ParametersError(
                f"the interval from {self.start.isoformat()} to {self.end.isoformat()} is empty",
                hint="Let it end after it starts.",
            )
        if milliseconds(self.start) < 0:
            raise ParametersError("the interval starts before 1970", hint="Choose a later start.")

    @classmethod
    def of_days(cls, start: datetime, days: int) -> Self:
        """Return that many days from ``start`` on."""
        return cls(start, start + timedelta(days=days))


class Options(TypedDict, total=False):
    """What may be asked of every shop. Its population, where not given, suits the volume; shares are of all operations.

    The seed tells shops apart: all of a shop's documents and their keys follow from it.
    """

    seed: int
    users: int | None
    products: int | None
    update_share: float
    delete_share: float


@dataclass(frozen=True, slots=True)
class Parameters:
    """A shop. Everything that is produced follows from these values and the interval.

    ``density`` is the number of documents per unit of weight of ``rhythm``; the class methods work it out.
    ``recommended_users`` of the ``users`` have recommendations. ``slot_seconds`` is the grain of time: what takes
    minutes or hours in a shop (an answer, a moderation) is scaled with it, 900 being life size. Nothing begins before
    ``opening``, where given. Raises :class:`ParametersError` for a shop that cannot be.
    """

    density: Fraction
    seed: int
    users: int
    products: int
    recommended_users: int
    update_share: Fraction
    delete_share: Fraction
    rhythm: Rhythm = WEEKLY
    slot_seconds: int = LIFE_SIZE
    opening: datetime | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.users <= MAX_PER_SLOT or not 1 <= self.products <= MAX_PER_SLOT:
            raise ParametersError(
                f"{self.users} users and {self.products} products: a shop has at least one of each",
                hint=f"Choose numbers between 1 and {MAX_PER_SLOT}.",
            )
        if self.update_share < 0 or self.delete_share < 0 or self.insert_share <= 0:
            raise ParametersError(
                f"an update share of {float(self.update_share):g} and a delete share of {float(self.delete_share):g}"
                " leave nothing to insert",
                hint="Choose shares of at least 0 whose sum is below 1.",
            )
        if self.density <= 0:
            raise ParametersError("a shop without documents", hint="Ask for at least one document.")
        if self.density * max(self.rhythm.weights) * self.slot_seconds > MAX_PER_SLOT:
            raise ParametersError(
                "too many documents for so short a time", hint="Ask for fewer documents or more days."
            )
        if self.delete_share > self.insert_share:
            raise ParametersError(
                f"a delete share of {float(self.delete_share):g} is more than the {float(self.insert_share):g}"
                " that is inserted",
                hint="Lower the delete share or the update share.",
            )

    @classmethod
    def per_day(cls, documents: float, *, opening: datetime | None = None, **options: Unpack[Options]) -> Self:
        """Return a shop where visitors leave ``documents`` on an average day, its catalogue not counted."""
        return cls(_per_day(documents, WEEKLY), **_settled(documents, **options), opening=opening)

    @classmethod
    def in_total(cls, documents: int, interval: Interval, **options: Unpack[Options]) -> Self:
        """Return a shop that inserts exactly ``documents`` in the interval, its catalogue included.

        The number is exact for an interval of whole quarters of an hour.
        """
        settled = _settled(documents, **options)
        visitors = documents - settled["products"] - settled["recommended_users"]
        if visitors < 1:
            raise ParametersError(
                f"{documents} documents leave no room beside {settled['products']} products"
                f" and the recommendations of {settled['recommended_users']} users",
                hint="Ask for more documents or fewer products.",
            )
        start, end = (WEEKLY.until(milliseconds(time) // 1000) for time in (interval.start, interval.end))
        return cls(Fraction(visitors, max(1, end - start)), **settled)

    @classmethod
    def live(cls, rate: float, opening: datetime, **options: Unpack[Options]) -> Self:
        """Return a shop that opens now and has ``rate`` operations per second, day and night.

        Tickets and sessions are quick, so that updates and deletes of what was just inserted soon follow.
        """
        if options.get("users") is None:
            options["users"] = _LIVE_USERS
        if options.get("products") is None:
            options["products"] = _LIVE_PRODUCTS
        per_day = max(rate, 0) * 24 * 3600
        settled = _settled(per_day, **options)
        density = _per_day(per_day, STEADY) * (1 - settled["update_share"] - settled["delete_share"])
        return cls(density, **settled, rhythm=STEADY, slot_seconds=_LIVE_SLOT_SECONDS, opening=opening)

    @property
    def insert_share(self) -> Fraction:
        """The share of operations that insert."""
        return 1 - self.update_share - self.delete_share

    @property
    def documents_per_day(self) -> Fraction:
        """Documents that visitors leave on an average day."""
        return self.density * self.rhythm.week / 7


def _exact(number: float) -> Fraction:
    return Fraction(number).limit_denominator(_PRECISION)


def _per_day(documents: float, rhythm: Rhythm) -> Fraction:
    return _exact(documents) * 7 / rhythm.week


def _settled(
    documents: float,
    *,
    seed: int = DEFAULT_SEED,
    users: int | None = None,
    products: int | None = None,
    update_share: float = DEFAULT_UPDATE_SHARE,
    delete_share: float = DEFAULT_DELETE_SHARE,
) -> dict[str, Any]:
    """Return the options of a shop as its parameters."""
    volume = max(1, round(documents))
    users = min(10_000, max(3, volume // 20)) if users is None else users
    return {
        "seed": seed,
        "users": users,
        "products": min(1_000, max(2, volume // 100)) if products is None else products,
        "recommended_users": max(1, min(users, volume // 20)),
        "update_share": _exact(update_share),
        "delete_share": _exact(delete_share),
    }
