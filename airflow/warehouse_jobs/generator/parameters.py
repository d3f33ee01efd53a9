"""What a generation is asked for, checked once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Self

from warehouse_jobs.generator.errors import ParametersError
from warehouse_jobs.generator.identity import MAX_PER_SLOT
from warehouse_jobs.generator.rhythm import STEADY, WEEKLY, Rhythm
from warehouse_jobs.generator.slots import milliseconds

DEFAULT_SEED = 1
DEFAULT_UPDATE_SHARE = 0.2
DEFAULT_DELETE_SHARE = 0.05

LIFE_SIZE = 900
"""Seconds of a slot in which everything takes the time that it takes in a shop."""

_PRECISION = 10_000
_DAY = 24 * 3600

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
        """That many days from ``start`` on."""
        return cls(start, start + timedelta(days=days))


@dataclass(frozen=True, slots=True)
class Parameters:
    """A shop. Everything that is produced follows from these values and the interval.

    ``density`` is the number of documents per unit of weight of ``rhythm``; :meth:`per_day` and :meth:`in_total` work
    it out. ``update_share`` and ``delete_share`` are shares of all operations. ``recommended_users`` of the ``users``
    have recommendations. ``slot_seconds`` is the grain of time: what takes minutes or hours in a shop (an answer, a
    moderation) is scaled with it, 900 being life size. Nothing begins before ``opening``, where given.
    """

    seed: int
    users: int
    products: int
    recommended_users: int
    density: Fraction
    update_share: Fraction
    delete_share: Fraction
    rhythm: Rhythm
    slot_seconds: int
    opening: datetime | None

    def __post_init__(self) -> None:
        if not 1 <= self.users <= MAX_PER_SLOT or not 1 <= self.products <= MAX_PER_SLOT:
            raise ParametersError(
                f"{self.users} users and {self.products} products: a shop has at least one of each",
                hint=f"Choose numbers between 1 and {MAX_PER_SLOT}.",
            )
        if self.density <= 0:
            raise ParametersError("a shop without documents", hint="Ask for at least one document.")
        if self.density * max(self.rhythm.weights) * self.slot_seconds > MAX_PER_SLOT:
            raise ParametersError(
                "too many documents for so short a time", hint="Ask for fewer documents or more days."
            )
        if self.update_share < 0 or self.delete_share < 0 or self.update_share + self.delete_share >= 1:
            raise ParametersError(
                f"an update share of {float(self.update_share):g} and a delete share of {float(self.delete_share):g}"
                " leave nothing to insert",
                hint="Choose shares of at least 0 whose sum is below 1.",
            )
        if self.delete_share > self.insert_share:
            raise ParametersError(
                f"a delete share of {float(self.delete_share):g} is more than the {float(self.insert_share):g}"
                " that is inserted",
                hint="Lower the delete share or the update share.",
            )

    @classmethod
    def per_day(
        cls,
        documents: float,
        *,
        seed: int = DEFAULT_SEED,
        users: int | None = None,
        products: int | None = None,
        update_share: float = DEFAULT_UPDATE_SHARE,
        delete_share: float = DEFAULT_DELETE_SHARE,
        steady: bool = False,
        slot_seconds: int = LIFE_SIZE,
        opening: datetime | None = None,
    ) -> Self:
        """A shop where visitors leave ``documents`` on an average day, its catalogue not counted.

        Evenings and weekends are busier unless ``steady``. The population defaults to one that suits the volume.
        """
        rhythm = STEADY if steady else WEEKLY
        users, products, recommended_users = _population(documents, users, products)
        return cls(
            seed=seed,
            users=users,
            products=products,
            recommended_users=recommended_users,
            density=Fraction(documents).limit_denominator(_PRECISION) * 7 / rhythm.week,
            update_share=Fraction(update_share).limit_denominator(_PRECISION),
            delete_share=Fraction(delete_share).limit_denominator(_PRECISION),
            rhythm=rhythm,
            slot_seconds=slot_seconds,
            opening=opening,
        )

    @classmethod
    def in_total(
        cls,
        documents: int,
        interval: Interval,
        *,
        seed: int = DEFAULT_SEED,
        users: int | None = None,
        products: int | None = None,
        update_share: float = DEFAULT_UPDATE_SHARE,
        delete_share: float = DEFAULT_DELETE_SHARE,
    ) -> Self:
        """A shop that inserts exactly ``documents`` in the interval, its catalogue included.

        The number is exact for an interval of whole quarters of an hour.
        """
        users, products, recommended_users = _population(documents, users, products)
        visitors = documents - products - recommended_users
        if visitors < 1:
            raise ParametersError(
                f"{documents} documents leave no room beside {products} products"
                f" and the recommendations of {recommended_users} users",
                hint="Ask for more documents or fewer products.",
            )
        start, end = (milliseconds(time) // 1000 for time in (interval.start, interval.end))
        weight = WEEKLY.until(end) - WEEKLY.until(start)
        return cls(
            seed=seed,
            users=users,
            products=products,
            recommended_users=recommended_users,
            density=Fraction(visitors, max(1, weight)),
            update_share=Fraction(update_share).limit_denominator(_PRECISION),
            delete_share=Fraction(delete_share).limit_denominator(_PRECISION),
            rhythm=WEEKLY,
            slot_seconds=LIFE_SIZE,
            opening=None,
        )

    @classmethod
    def live(
        cls,
        rate: float,
        opening: datetime,
        *,
        seed: int = DEFAULT_SEED,
        users: int | None = None,
        products: int | None = None,
        update_share: float = DEFAULT_UPDATE_SHARE,
        delete_share: float = DEFAULT_DELETE_SHARE,
        slot_seconds: int = _LIVE_SLOT_SECONDS,
    ) -> Self:
        """A shop that opens now and has ``rate`` operations per second, day and night.

        Tickets and sessions are quick, so that updates and deletes of what was just inserted soon follow.
        """
        return cls.per_day(
            max(rate, 0) * _DAY * (1 - update_share - delete_share),
            seed=seed,
            users=_LIVE_USERS if users is None else users,
            products=_LIVE_PRODUCTS if products is None else products,
            update_share=update_share,
            delete_share=delete_share,
            steady=True,
            slot_seconds=slot_seconds,
            opening=opening,
        )

    @property
    def insert_share(self) -> Fraction:
        """The share of operations that insert."""
        return 1 - self.update_share - self.delete_share

    @property
    def documents_per_day(self) -> Fraction:
        """Documents that visitors leave on an average day."""
        return self.density * self.rhythm.week / 7


def _population(documents: float, users: int | None, products: int | None) -> tuple[int, int, int]:
    """Users, products and recommended users, where not asked for in a proportion that suits the documents."""
    volume = max(1, round(documents))
    users = min(10_000, max(3, volume // 20)) if users is None else users
    products = min(1_000, max(2, volume // 100)) if products is None else products
    return users, products, max(1, min(users, volume // 20))
