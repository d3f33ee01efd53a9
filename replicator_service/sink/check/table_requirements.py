"""What replicated tables have to be like: one small function a check, over what the server was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.core.findings import Level, Problem, Requirement
from replicator_service.core.mapping.ddl import qualified
from replicator_service.sink.check.table_info import TableInfo, gather_tables

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from replicator_service.core.mapping.model import TableSpec
    from replicator_service.sink.connect.connection import Connection

CONFLICTS = "tables fit the mapping"
WHOLE = "tables are whole"
DURABLE = "tables are durable"
OWNED = "tables are writable"
PRIVILEGES = "privileges on tables"
CONSTRAINTS = "tables accept every row"
RULES = "rules on tables"
SECURITY = "row security"
DEPENDING = "references and inheritance"

_REBUILD = "Leave the request with 'replicator resync COLLECTION': the tables are then built anew at the next start."


def _conflicts(info: TableInfo) -> Iterator[Problem]:
    for plan in info.plans:
        for conflict in plan.conflicts:
            yield Problem(
                f"{info.schema}.{conflict}",
                _REBUILD if conflict.rebuildable else "Rename one of both.",
            )


def _told(info: TableInfo) -> str:
    created = sum(plan.create for plan in info.plans)
    changed = sum(not plan.is_empty for plan in info.plans)
    if not changed:
        return f"all as they should be: {len(info.plans)}" if info.plans else "none yet"
    return f"to be created: {created}, to be added to: {changed - created}"


def _whole(info: TableInfo) -> Iterator[Problem]:
    for plan in info.plans:
        name = plan.table.name
        if name not in info.known or plan.conflicts:
            continue
        missing = [f"the column {column.name}" for column in plan.add_columns]
        missing += [f"the primary key ({', '.join(plan.table.primary_key)})"] if plan.add_key else []
        missing += ["the table"] if plan.create else []
        if missing:
            yield Problem(
                f"{info.schema}.{name}: {', '.join(missing)} is missing",
                "Nothing to do: the next start makes it again and reads the collection again.",
                Level.WARN,
            )


def _durable(info: TableInfo) -> Iterator[Problem]:
    for each in info.states:
        if each.is_unlogged:
            yield Problem(
                f"{each.name} is unlogged: empty after a crash, while the checkpoint is not",
                f"alter table {qualified(info.schema, each.name)} set logged",
                Level.WARN,
            )


def _owned(info: TableInfo) -> Iterator[Problem]:
    for each in info.states:
        if not each.is_owned:
            yield Problem(
                f"{each.name} is owned by another user",
                f"alter table {qualified(info.schema, each.name)} owner to {info.role}",
            )


def _privileges(info: TableInfo) -> Iterator[Problem]:
    for each in info.states:
        if each.forbidden:
            listed = ", ".join(each.forbidden)
            table = qualified(info.schema, each.name)
            yield Problem(
                f"{info.user} may not {listed} on {info.schema}.{each.name}",
                f"grant {listed} on {table} to {info.role}",
            )


def _constraints(info: TableInfo) -> Iterator[Problem]:
    for each in info.refusing:
        yield Problem(f"{each.table}: {each.what} (what it refuses becomes a dead letter)", each.statement, Level.WARN)


def _rules(info: TableInfo) -> Iterator[Problem]:
    for each in info.rules:
        told = "puts something else in the place of what we write" if each.is_fatal else "does more than we write"
        yield Problem(f"{each.table}: {each.what} {told}", each.statement, Level.FAIL if each.is_fatal else Level.WARN)


def _security(info: TableInfo) -> Iterator[Problem]:
    for each in info.states:
        if each.is_secured:
            table = qualified(info.schema, each.name)
            yield Problem(
                f"{each.name}: row security would hide rows from {info.user}",
                f"alter table {table} no force row level security"
                if each.is_owned
                else f"alter table {table} disable row level security; or: alter role {info.role} bypassrls",
            )


def _depending(info: TableInfo) -> Iterator[Problem]:
    for each in info.depending:
        yield Problem(f"{each.table}: {each.what}", each.statement, Level.WARN)


REQUIREMENTS: tuple[Requirement[TableInfo], ...] = (
    Requirement(CONFLICTS, _conflicts, _told),
    Requirement(WHOLE, _whole, lambda _: "nothing is missing"),
    Requirement(DURABLE, _durable, lambda _: "none is unlogged"),
    Requirement(OWNED, _owned, lambda _: "owned by this user"),
    Requirement(PRIVILEGES, _privileges, lambda _: "nothing is missing", is_asked_at_start=True),
    Requirement(CONSTRAINTS, _constraints, lambda _: "nothing refuses rows"),
    Requirement(RULES, _rules, lambda _: "none", is_asked_at_start=True),
    Requirement(SECURITY, _security, lambda _: "hides no row", is_asked_at_start=True),
    Requirement(DEPENDING, _depending, lambda _: "nobody's rows hang on ours"),
)
NAMES = tuple(each.name for each in REQUIREMENTS)
_INTERFERING = (CONSTRAINTS, RULES, SECURITY, DEPENDING)


def interference(connection: Connection, schema: str, tables: Sequence[TableSpec]) -> list[Problem]:
    """What others have hung on these tables: rules, triggers, constraints, row security, references, inheritance.

    A constant number of statements, however many tables; reads the catalog alone.
    """
    info = gather_tables(connection, schema, tables)
    return [problem for each in REQUIREMENTS if each.name in _INTERFERING for problem in each.problems(info)]
