"""Data checks as values: what must hold of the staged rows, or of the changes to be made, before anything is published.

Every mart is checked for a present and unique key without being asked; these two are never let through. Any other
check that fails can be let through once, by its name or by the word before its parenthesis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from replicator_service.core.mapping.problems import closest
from warehouse_jobs.marts.errors import SettingsError
from warehouse_jobs.marts.results import CheckOutcome, CheckResult

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from warehouse_jobs.marts.definition import Mart


@dataclass(frozen=True, slots=True)
class NotNull:
    """The column is never null."""

    column: str


@dataclass(frozen=True, slots=True)
class NonNegative:
    """The column is null or at least 0."""

    column: str


@dataclass(frozen=True, slots=True)
class AcceptedValues:
    """The column is null or one of the values."""

    column: str
    values: tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Expression:
    """An SQL expression that is false for no row; as in a check constraint, null passes."""

    name: str
    sql: str


@dataclass(frozen=True, slots=True)
class Warned:
    """The same, but rows for which it is false are only told about."""

    name: str
    sql: str


@dataclass(frozen=True, slots=True)
class Unique:
    """No two rows are equal in all of these columns."""

    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RowCountDrop:
    """The mart loses no more than this share of its rows; one of fewer than ``min_rows`` is exempt."""

    max_share: float
    min_rows: int


@dataclass(frozen=True, slots=True)
class MassClose:
    """No more than this share of the keys is gone, however few keys there are."""

    max_share: float


@dataclass(frozen=True, slots=True)
class TurnedNull:
    """Of the keys that stay and had a value in the column, no more than this share has none any more."""

    column: str
    max_share: float


@dataclass(frozen=True, slots=True)
class TurnedZero:
    """The same for values that fall to 0, which are only told about: a number may do so rightly."""

    column: str
    max_share: float


@dataclass(frozen=True, slots=True)
class Incremental:
    """An incremental load would have published the same; checked by a full load now and then."""


RowCheck = NotNull | NonNegative | AcceptedValues | Expression | Warned
ChangeCheck = MassClose | TurnedNull | TurnedZero
Check = RowCheck | Unique | RowCountDrop | ChangeCheck | Incremental


def name_of(check: Check) -> str:
    """Name the check as it is shown to people."""
    match check:
        case NotNull() | NonNegative() | AcceptedValues() | TurnedNull() | TurnedZero():
            return f"{_KINDS[type(check)]}({check.column})"
        case Unique():
            return f"unique({', '.join(check.columns)})"
        case Expression() | Warned():
            return f"{_KINDS[type(check)]}({check.name})"
        case RowCountDrop() | MassClose():
            return f"{_KINDS[type(check)]}({check.max_share:g})"
        case Incremental():
            return "incremental"
        case _:
            assert_never(check)


_KINDS: dict[type[Check], str] = {
    NotNull: "not_null",
    NonNegative: "non_negative",
    AcceptedValues: "accepted_values",
    TurnedNull: "turned_null",
    TurnedZero: "turned_zero",
    Expression: "expression",
    Warned: "warning",
    RowCountDrop: "row_count_drop",
    MassClose: "mass_close",
}


def key_checks(mart: Mart) -> tuple[Check, ...]:
    """The checks of the key: without them there is nothing to compare by."""
    return (*map(NotNull, mart.key), Unique(mart.key))


def judged(check: Check, failing: int, detail: str, accept: Collection[str]) -> CheckResult:
    """The result of an acceptable check that found ``failing`` rows, when ``accept`` are let through."""
    name = name_of(check)
    if not failing:
        outcome = CheckOutcome.PASSED
    elif isinstance(check, Warned | TurnedZero):
        outcome = CheckOutcome.WARNED
    elif name in accept or name.partition("(")[0] in accept:
        outcome = CheckOutcome.ACCEPTED
    else:
        outcome = CheckOutcome.FAILED
    return CheckResult(name, outcome, failing, detail)


def require_known(accept: Collection[str], marts: Iterable[Mart]) -> None:
    """Raise SettingsError for a name that is no check of these marts: a typing error would let nothing through."""
    marts = list(marts)
    names = {name_of(check) for mart in marts for check in mart.checks}
    names |= {name_of(Incremental()) for mart in marts if mart.incremental}
    known = sorted(names | {name.partition("(")[0] for name in names})
    for name in accept:
        if name not in known:
            meant = closest(name, known)
            hint = f"Did you mean {meant}?" if meant else f"The checks are: {', '.join(known) or 'none'}."
            raise SettingsError(f"{name!r} is no check that can be accepted", hint=hint)
