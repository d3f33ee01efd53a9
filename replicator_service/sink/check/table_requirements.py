"""What replicated tables have to be like: one small function a check, over gathered facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.core.findings import Level, Problem, Requirement
from replicator_service.core.mapping.ddl import qualified
from replicator_service.sink.check.table_facts import TableFacts, gather_tables

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


def _conflicts(facts: TableFacts) -> Iterator[Problem]:
    for plan in facts.plans:
        for conflict in plan.conflicts:
            yield Problem(
                f"{facts.schema}.{conflict}",
                _REBUILD if conflict.rebuildable else "Rename one of both.",
            )


def _told(facts: TableFacts) -> str:
    created = sum(plan.create for plan in facts.plans)
    changed = sum(not plan.is_empty for plan in facts.plans)
    if not changed:
        return f"all as they should be: {len(facts.plans)}" if facts.plans else "none yet"
    return f"to be created: {created}, to be added to: {changed - created}"


def _whole(facts: TableFacts) -> Iterator[Problem]:
    for plan in facts.plans:
        name = plan.table.name
        if name not in facts.known or plan.conflicts:
            continue
        missing = [f"the column {column.name}" for column in plan.add_columns]
        missing += [f"the primary key ({', '.join(plan.table.primary_key)})"] if plan.add_key else []
        missing += ["the table"] if plan.create else []
        if missing:
            yield Problem(
                f"{facts.schema}.{name}: {', '.join(missing)} is missing",
                "Nothing to do: the next start makes it again and reads the collection again.",
                Level.WARN,
            )


def _durable(facts: TableFacts) -> Iterator[Problem]:
    for each in facts.states:
        if each.is_unlogged:
            yield Problem(
                f"{each.name} is unlogged: empty after a crash, while the checkpoint is not",
                f"alter table {qualified(facts.schema, each.name)} set logged",
                Level.WARN,
            )


def _owned(facts: TableFacts) -> Iterator[Problem]:
    for each in facts.states:
        if not each.is_owned:
            yield Problem(
                f"{each.name} is owned by another user",
                f"alter table {qualified(facts.schema, each.name)} owner to {facts.role}",
            )


def _privileges(facts: TableFacts) -> Iterator[Problem]:
    for each in facts.states:
        if each.forbidden:
            listed = ", ".join(each.forbidden)
            table = qualified(facts.schema, each.name)
            yield Problem(
                f"{facts.user} may not {listed} on {facts.schema}.{each.name}",
                f"grant {listed} on {table} to {facts.role}",
            )


def _constraints(facts: TableFacts) -> Iterator[Problem]:
    for each in facts.refusing:
        yield Problem(f"{each.table}: {each.what} (what it refuses becomes a dead letter)", each.statement, Level.WARN)


def _rules(facts: TableFacts) -> Iterator[Problem]:
    for each in facts.rules:
        told = "puts something else in the place of what we write" if each.is_fatal else "does more than we write"
        yield Problem(f"{each.table}: {each.what} {told}", each.statement, Level.FAIL if each.is_fatal else Level.WARN)


def _security(facts: TableFacts) -> Iterator[Problem]:
    for each in facts.states:
        if each.is_secured:
            table = qualified(facts.schema, each.name)
            yield Problem(
                f"{each.name}: row security would hide rows from {facts.user}",
                f"alter table {table} no force row level security"
                if each.is_owned
                else f"alter table {table} disable row level security; or: alter role {facts.role} bypassrls",
            )


def _depending(facts: TableFacts) -> Iterator[Problem]:
    for each in facts.depending:
        yield Problem(f"{each.table}: {each.what}", each.statement, Level.WARN)


REQUIREMENTS: tuple[Requirement[TableFacts], ...] = (
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
    facts = gather_tables(connection, schema, tables)
    return [problem for each in REQUIREMENTS if each.name in _INTERFERING for problem in each.problems(facts)]
