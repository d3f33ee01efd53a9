"""Data checks: what must hold of the staged rows before anything is published.

Row checks are counted in one pass over the staged table. Every mart is checked for a present and unique key
without being asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never, cast

import psycopg
from psycopg import sql

from warehouse_jobs.marts.errors import DefinitionError
from warehouse_jobs.marts.results import CheckResult
from warehouse_jobs.marts.server_errors import describe

if TYPE_CHECKING:
    from warehouse_jobs.marts.definition import Mart
    from warehouse_jobs.marts.server import Cursor


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
class Unique:
    """No two rows are equal in all of these columns."""

    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RowCountDrop:
    """The mart loses no more than this share of its rows; one of fewer than ``min_rows`` is exempt."""

    max_share: float
    min_rows: int


RowCheck = NotNull | NonNegative | AcceptedValues | Expression
Check = RowCheck | Unique | RowCountDrop


def name_of(check: Check) -> str:
    """Name the check as it is shown to people."""
    match check:
        case NotNull() | NonNegative() | AcceptedValues():
            kind = {NotNull: "not_null", NonNegative: "non_negative", AcceptedValues: "accepted_values"}[type(check)]
            return f"{kind}({check.column})"
        case Unique():
            return f"unique({', '.join(check.columns)})"
        case Expression():
            return f"expression({check.name})"
        case RowCountDrop():
            return f"row_count_drop({check.max_share:g})"
        case _:
            assert_never(check)


def run_checks(
    cursor: Cursor, mart: Mart, staged: sql.Identifier, current_rows: int
) -> tuple[int, tuple[CheckResult, ...]]:
    """Count the staged rows and run every check on them.

    ``current_rows`` is the size of the mart before the load. Returns the number of staged rows and the
    results in the order of the definition, the key first. Raises DefinitionError when an expression is not
    valid SQL.
    """
    checks: tuple[Check, ...] = (*(NotNull(column) for column in mart.key), Unique(mart.key), *mart.checks)
    row_checks = [check for check in checks if not isinstance(check, Unique | RowCountDrop)]
    rows, failing = _count_failing(cursor, mart, staged, row_checks)
    results = []
    for check in checks:
        detail = ""
        match check:
            case Unique():
                count = _count_repeated(cursor, staged, check)
            case RowCountDrop():
                count = int(current_rows >= check.min_rows and rows < current_rows * (1 - check.max_share))
                detail = f"{current_rows} rows before, {rows} now" if count else ""
            case _:
                count = failing[check]
        results.append(CheckResult(name_of(check), count == 0, count, detail))
    return rows, tuple(results)


def _count_failing(
    cursor: Cursor, mart: Mart, staged: sql.Identifier, checks: list[RowCheck]
) -> tuple[int, dict[RowCheck, int]]:
    counts: list[sql.Composable] = [sql.SQL("count(*)")]
    counts += [sql.SQL("count(*) filter (where {})").format(_fails(check)) for check in checks]
    query = sql.SQL("select {} from {}").format(sql.SQL(", ").join(counts), staged)
    try:
        row = cast("tuple[int, ...]", cursor.execute(query).fetchone())
    except (psycopg.ProgrammingError, psycopg.DataError) as error:
        expressions = [check.name for check in checks if isinstance(check, Expression)]
        raise DefinitionError(
            f"mart {mart.name}: its checks cannot be run: {describe(error)}",
            hint=f"Correct the expression in sql/marts/{mart.name}.yml ({'; '.join(expressions)}).",
        ) from error
    return row[0], dict(zip(checks, row[1:], strict=True))


def _fails(check: RowCheck) -> sql.Composable:
    match check:
        case NotNull():
            return sql.SQL("{} is null").format(sql.Identifier(check.column))
        case NonNegative():
            return sql.SQL("{} < 0").format(sql.Identifier(check.column))
        case AcceptedValues():
            values = sql.SQL(", ").join(sql.Literal(value) for value in check.values)
            return sql.SQL("{} not in ({})").format(sql.Identifier(check.column), values)
        case Expression():
            # The definition files are code of this repository, like the selects beside them.
            return sql.SQL("not ({}\n)").format(sql.SQL(check.sql))
        case _:
            assert_never(check)


def _count_repeated(cursor: Cursor, staged: sql.Identifier, check: Unique) -> int:
    columns = sql.SQL(", ").join(map(sql.Identifier, check.columns))
    query = sql.SQL("select count(*) from (select from {} group by {} having count(*) > 1) as repeated")
    row = cast("tuple[int]", cursor.execute(query.format(staged, columns)).fetchone())
    return row[0]
