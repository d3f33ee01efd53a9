"""Runs the checks: those of rows in one pass over the staged table, those of changes in one over what changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never, cast

import psycopg
from psycopg import sql

from replicator_service.core.words import counted
from warehouse_jobs.marts.checks import (
    AcceptedValues,
    Check,
    Expression,
    Incremental,
    MassClose,
    NonNegative,
    NotNull,
    RowCheck,
    RowCountDrop,
    TurnedNull,
    TurnedZero,
    Unique,
    Warned,
    judged,
    key_checks,
)
from warehouse_jobs.marts.errors import DefinitionError
from warehouse_jobs.marts.results import ChangeKind, CheckResult
from warehouse_jobs.marts.server_errors import describe
from warehouse_jobs.marts.staging import STAGED
from warehouse_jobs.marts.versions import CHANGED, current_versions, in_scope, resulting, same_key, unproved

if TYPE_CHECKING:
    from collections.abc import Collection

    from warehouse_jobs.marts.definition import Mart
    from warehouse_jobs.marts.server import Cursor


def check_rows(
    cursor: Cursor, mart: Mart, current_rows: int, accept: Collection[str], *, scoped: bool = False
) -> tuple[int, tuple[CheckResult, ...]]:
    """Count the rows that the mart would have and run every check of rows on them.

    ``current_rows`` is the size of the mart before the load; ``scoped`` as for
    :func:`~warehouse_jobs.marts.versions.compare`. Returns the number of rows and the
    results in the order of the definition, the key first. Raises DefinitionError when an expression is not
    valid SQL.
    """
    checks = [*key_checks(mart), *mart.checks]
    row_checks = [check for check in checks if isinstance(check, _OF_ROWS)]
    rows, failing = _count_failing(cursor, mart, row_checks, resulting(mart) if scoped else STAGED)
    results = []
    for place, check in enumerate(checks):
        detail = ""
        match check:
            case Unique():
                count = _count_repeated(cursor, mart, check, scoped=scoped)
            case RowCountDrop():
                count = int(current_rows >= check.min_rows and rows < current_rows * (1 - check.max_share))
                detail = f"{counted(current_rows, 'row')} before, {rows} now" if count else ""
            case MassClose() | TurnedNull() | TurnedZero() | Incremental():
                continue
            case _:
                count = failing[check]
        is_of_key = place <= len(mart.key)
        results.append(judged(check, count, detail, () if is_of_key else accept))
    return rows, tuple(results)


def is_key_sound(mart: Mart, results: tuple[CheckResult, ...]) -> bool:
    """Whether the results of :func:`check_rows` allow to compare the rows by their key."""
    return all(check.passed for check in results[: len(mart.key) + 1])


def check_changes(
    cursor: Cursor,
    mart: Mart,
    existing: dict[str, str],
    counts: dict[ChangeKind, int],
    current_rows: int,
    accept: Collection[str],
) -> tuple[CheckResult, ...]:
    """Run every check of changes on what :func:`~warehouse_jobs.marts.versions.compare` found."""
    checks = [check for check in mart.checks if isinstance(check, _OF_CHANGES)]
    turned = [check for check in checks if not isinstance(check, MassClose) and check.column in existing]
    numbers = _count_turned(cursor, mart, existing, turned) if turned and current_rows else {}
    results = []
    for check in checks:
        if isinstance(check, MassClose):
            part, whole, words = counts[ChangeKind.CLOSED], current_rows, "keys are gone"
        else:
            part, whole = numbers.get(check, (0, 0))
            words = "values turned null" if isinstance(check, TurnedNull) else "values fell to 0"
        is_failing = part > whole * check.max_share
        results.append(judged(check, int(is_failing), f"{part} of {whole} {words}" if is_failing else "", accept))
    return tuple(results)


def check_proof(cursor: Cursor, mart: Mart, accept: Collection[str]) -> CheckResult:
    """Whether an incremental load would have published the same as this full one; says which keys it would not."""
    count, keys = unproved(cursor, mart)
    shown = ", ".join(keys) + (", ..." if count > len(keys) else "")
    return judged(
        Incremental(), count, f"{counted(count, 'key')} would have been left wrong: {shown}" if count else "", accept
    )


_OF_ROWS = NotNull | NonNegative | AcceptedValues | Expression | Warned
_OF_CHANGES = MassClose | TurnedNull | TurnedZero


def _count_failing(
    cursor: Cursor, mart: Mart, checks: list[RowCheck], result: sql.Composable
) -> tuple[int, dict[RowCheck, int]]:
    counts: list[sql.Composable] = [sql.SQL("count(*)")]
    counts += [sql.SQL("count(*) filter (where {})").format(_fails(check)) for check in checks]
    query = sql.SQL("select {} from {}").format(sql.SQL(", ").join(counts), result)
    try:
        row = cast("tuple[int, ...]", cursor.execute(query).fetchone())
    except (psycopg.ProgrammingError, psycopg.DataError) as error:
        expressions = [check.name for check in checks if isinstance(check, Expression | Warned)]
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
        case Expression() | Warned():
            # The definition files are code of this repository, like the selects beside them.
            return sql.SQL("not ({}\n)").format(sql.SQL(check.sql))
        case _:
            assert_never(check)


def _count_repeated(cursor: Cursor, mart: Mart, check: Unique, *, scoped: bool) -> int:
    """How many rows are told by these columns from no other.

    That the key is unique among the rows that stay was checked when they were published, and is never let through. What
    is new can be equal to them only under a key that is none of the scope.
    """
    columns = sql.SQL(", ").join(map(sql.Identifier, check.columns))
    is_new_alone = scoped and set(mart.key) <= set(check.columns)
    result = resulting(mart) if scoped and not is_new_alone else STAGED
    query = sql.SQL("select count(*) from (select from {} group by {} having count(*) > 1) as repeated")
    repeated = cast("tuple[int]", cursor.execute(query.format(result, columns)).fetchone())[0]
    return repeated + (_count_unasked(cursor, mart) if is_new_alone else 0)


def _count_unasked(cursor: Cursor, mart: Mart) -> int:
    query = sql.SQL("select count(*) from {} where not {}").format(STAGED, in_scope(mart))
    return cast("tuple[int]", cursor.execute(query).fetchone())[0]


def _count_turned(
    cursor: Cursor, mart: Mart, existing: dict[str, str], checks: list[TurnedNull | TurnedZero]
) -> dict[Check, tuple[int, int]]:
    """How many of the values of keys that stay have turned, and how many there were.

    The current versions are read once, without a join; what has changed is looked up.
    """
    current = current_versions(mart, existing)
    had = [_filtered(_had(check)) for check in checks]
    query = sql.SQL("select {} from ({}) as current_version").format(sql.SQL(", ").join(had), current)
    before = cast("tuple[int, ...]", cursor.execute(query).fetchone())
    turned = [_filtered(_had(check), sql.SQL("changed.kind <> 'closed'"), _has_none(check)) for check in checks]
    closed = [_filtered(_had(check), sql.SQL("changed.kind = 'closed'")) for check in checks]
    query = sql.SQL(
        "select {counts} from {changed} as changed join ({current}) as current_version on {changed_key} "
        "left join {staged} as staged on {staged_key}"
    ).format(
        counts=sql.SQL(", ").join([*turned, *closed]),
        current=current,
        changed=CHANGED,
        changed_key=same_key("current_version", "changed", mart.key),
        staged=STAGED,
        staged_key=same_key("changed", "staged", mart.key),
    )
    found = cast("tuple[int, ...]", cursor.execute(query).fetchone())
    gone = found[len(checks) :]
    return {check: (found[place], before[place] - gone[place]) for place, check in enumerate(checks)}


def _had(check: TurnedNull | TurnedZero) -> sql.Composed:
    condition = "current_version.{} <> 0" if isinstance(check, TurnedZero) else "current_version.{} is not null"
    return sql.SQL(condition).format(sql.Identifier(check.column))


def _has_none(check: TurnedNull | TurnedZero) -> sql.Composed:
    condition = "staged.{} = 0" if isinstance(check, TurnedZero) else "staged.{} is null"
    return sql.SQL(condition).format(sql.Identifier(check.column))


def _filtered(*conditions: sql.Composable) -> sql.Composed:
    return sql.SQL("count(*) filter (where {})").format(sql.SQL(" and ").join(conditions))
