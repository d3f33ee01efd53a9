"""Checks of what earlier starts have left: the control tables, who leads, and what waits for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.core.mapping.ddl import identifier
from replicator_service.core.schema_findings import FindingKind
from replicator_service.core.times import time_text
from replicator_service.core.words import counted
from replicator_service.sink.control.migrations import SET_ASIDE, applied_versions, missing_tables, read_migrations
from replicator_service.sink.errors import translated
from replicator_service.sink.overview.stream import is_installed, read_overview

if TYPE_CHECKING:
    from replicator_service.core.findings import Checklist
    from replicator_service.core.overview import DatabaseView
    from replicator_service.sink.connect.connection import Connection

TABLES = "control tables"
LEASE = "lease"
HELD = "stream not paused"
DEAD_LETTERS = "dead letters"
SCHEMA = "documents fit"
NAMES = (TABLES, LEASE, HELD, DEAD_LETTERS, SCHEMA)
_NAMED = 3

_FORBIDDEN = """
select pg_catalog.array_agg(c.relname::text order by c.relname)
from pg_catalog.pg_class as c
inner join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where n.nspname = 'replicator' and c.relkind = 'r'
    and not (
        pg_catalog.has_schema_privilege(n.oid, 'usage')
        and pg_catalog.has_table_privilege(c.oid, 'select')
        and pg_catalog.has_table_privilege(c.oid, 'insert')
        and pg_catalog.has_table_privilege(c.oid, 'update')
        and pg_catalog.has_table_privilege(c.oid, 'delete')
    )
"""

_FOREIGN = """
select pg_catalog.array_agg(c.relname::text order by c.relname)
from pg_catalog.pg_class as c
inner join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where n.nspname = 'replicator' and c.relkind in ('r', 'p', 'v', 'm')
"""


def check_control_tables(connection: Connection, stream: str, checks: Checklist) -> None:
    """Look at the schema ``replicator``."""
    _check_version(connection, checks)
    if checks.failed(TABLES) or not is_installed(connection):
        checks.skip(LEASE, HELD, DEAD_LETTERS, SCHEMA)
        return
    view = read_overview(connection, stream, "")
    if view.leader is None:
        checks.ok(LEASE, "free: nobody replicates this stream now")
    else:
        since = time_text(view.leader.since)
        where = f" from {view.leader.address}" if view.leader.address else ""
        checks.ok(LEASE, f"held{where} since {since}: another instance would stand by")
    if view.is_paused:
        checks.warn(HELD, "somebody has paused the stream: nothing is written", "replicator resume")
    else:
        checks.ok(HELD, "not paused")
    if view.dead_letters:
        checks.warn(
            DEAD_LETTERS,
            f"waiting for a person: {counted(view.dead_letters, 'document')}",
            "replicator dead-letters list; after the cause is removed: replicator dead-letters retry --all",
        )
    else:
        checks.ok(DEAD_LETTERS, "none")
    _check_schema(view, checks)


def _check_schema(view: DatabaseView, checks: Checklist) -> None:
    misfits = [each for each in view.findings if each.kind is FindingKind.MISFIT]
    new, gone = view.finding_paths(FindingKind.NEW_FIELD), view.finding_paths(FindingKind.GONE)
    rest = [f"{new} in no column"] if new else []
    rest += [f"{gone} without any value"] if gone else []
    if misfits:
        named = ", ".join(f"{each.collection} {each.path} ({each.count:,})" for each in misfits[:_NAMED])
        more = view.finding_paths(FindingKind.MISFIT) - len(misfits[:_NAMED])
        told = f"values that do not fit their column: {named}" + (f" and {more} more" if more else "")
        checks.warn(SCHEMA, "; ".join([told, *rest]), "replicator mapping drift prints the lines for the mapping.")
    else:
        told = "every value so far" + (f"; fields: {', '.join(rest)}, see replicator mapping drift" if rest else "")
        checks.ok(SCHEMA, told)


def _check_version(connection: Connection, checks: Checklist) -> None:
    migrations = read_migrations()
    wanted = {migration.version: migration.checksum for migration in migrations}
    with translated(step="look at the control tables"):
        forbidden = connection.execute(_FORBIDDEN).fetchone()
        foreign = connection.execute(_FOREIGN).fetchone()
    if forbidden and forbidden[0]:
        role = identifier(connection.info.user)
        checks.fail(
            TABLES,
            f"{connection.info.user} may not read and write {', '.join(forbidden[0])}",
            f"grant usage on schema replicator to {role}; "
            f"grant select, insert, update, delete on all tables in schema replicator to {role}",
        )
        return
    applied = applied_versions(connection)
    if applied is None:
        if foreign and foreign[0]:
            checks.fail(
                TABLES,
                f"the schema replicator holds tables that this program has not made: {', '.join(foreign[0])}",
                f"Check that REPLICATOR_POSTGRES_DSN names the right database. If it does, {SET_ASIDE}",
            )
        else:
            checks.ok(TABLES, "will be created at the first start")
    elif newer := sorted(set(applied) - set(wanted)):
        checks.fail(
            TABLES, f"version {newer[-1]} is newer than this program", "Run the release that made them, or a later one."
        )
    elif any(wanted[version] != checksum for version, checksum in applied.items()):
        checks.fail(TABLES, "made by a release that was changed afterwards", "Install an unchanged release.")
    elif missing := missing_tables(connection, [each for each in migrations if each.version in applied]):
        checks.fail(
            TABLES,
            f"dropped by hand: {', '.join(f'replicator.{name}' for name in missing)}",
            f"Restore them from a backup. Without one: {SET_ASIDE}",
        )
    elif pending := len(wanted) - len(applied):
        checks.ok(TABLES, f"{pending} migrations will be applied at the next start")
    else:
        checks.ok(TABLES, f"version {max(wanted)}")
