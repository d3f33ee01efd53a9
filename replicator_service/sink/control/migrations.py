"""The control tables: numbered SQL files, applied once each, in order, and never changed afterwards."""

from __future__ import annotations

import hashlib
import re
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from replicator_service.core.errors import ConfigurationError, ReplicatorError, TableChanged
from replicator_service.sink.errors import translated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from replicator_service.sink.connect.connection import Connection

_LOCK = "select pg_advisory_xact_lock(hashtextextended('replicator:migrations', 0))"
_ABOUT = "comment on schema replicator is 'Tables of the replicator itself: position, dead letters, comparisons.'"
_SCHEMA = "select from pg_catalog.pg_namespace where nspname = 'replicator'"
_TABLES = """
select c.relname::text
from pg_catalog.pg_class as c
where c.relnamespace = (select n.oid from pg_catalog.pg_namespace as n where n.nspname = 'replicator')
    and c.relkind in ('r', 'p')
"""
_IS_THERE = f"select from ({_TABLES}) as t where t.relname = 'schema_migration'"
_CREATED = re.compile(r"^(create|drop) table (?:if (?:not )?exists )?replicator\.(\w+)", re.MULTILINE | re.IGNORECASE)
_HISTORY = """
create table replicator.schema_migration (
    version integer not null,
    name text not null,
    checksum text not null,
    applied_at timestamptz not null default now(),
    constraint schema_migration_pkey primary key (version)
)
"""

SET_ASIDE = (
    "alter schema replicator rename to replicator_before; and start again: everything is then read anew, and what "
    "the schema holds (dead letters, the position) is kept beside it."
)
"""The way out that destroys nothing."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file ``NNNN_name.sql``."""

    version: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, as hexadecimal digits."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def sql_folder() -> Path:
    """Where the SQL files are: inside an installed package, or at the top of a checkout."""
    package = Path(__file__).resolve().parents[2]
    installed = package / "sql"
    return installed if installed.is_dir() else package.parent / "sql"


def read_migrations(folder: Path | None = None) -> list[Migration]:
    """All migrations in order of their version."""
    files = sorted((folder or sql_folder() / "replicator").glob("[0-9][0-9][0-9][0-9]_*.sql"))
    return [Migration(int(file.name[:4]), file.stem[5:], file.read_text(encoding="utf-8")) for file in files]


def migrate(connection: Connection, migrations: list[Migration] | None = None) -> list[int]:
    """Bring the control tables up to date and return the versions that were applied.

    Safe to call from several instances at once, and again: where nothing is missing it only looks.

    All or nothing: a start that is cut short leaves nothing behind.

    Raises :class:`ConfigurationError` when an applied file was changed, the database is newer than this program,
    somebody else's tables are in the way, or one of ours is gone.
    """
    wanted = read_migrations() if migrations is None else migrations
    if not _pending(connection, wanted):
        return []
    with translated(step="make the control tables"), connection.transaction():
        connection.execute(_LOCK)
        return _apply(connection, wanted)


def _apply(connection: Connection, wanted: list[Migration]) -> list[int]:
    """Apply what is missing still, now that nobody else does."""
    pending = _pending(connection, wanted)
    with translated(step="create the schema replicator"):
        # A user who may not create schemas may not even ask for one that is there.
        if not connection.execute(_SCHEMA).fetchall():
            connection.execute("create schema replicator")
            connection.execute(_ABOUT)
    with _alone(), translated(step="create the table replicator.schema_migration"):
        if applied_versions(connection) is None:
            connection.execute(_HISTORY)
        for migration in pending:
            with translated(step=f"apply the migration {migration.version} ({migration.name}) of the control tables"):
                connection.execute(migration.text.encode())
                connection.execute(
                    "insert into replicator.schema_migration (version, name, checksum) values (%s, %s, %s)",
                    (migration.version, migration.name, migration.checksum),
                )
    return [migration.version for migration in pending]


def _pending(connection: Connection, wanted: list[Migration]) -> list[Migration]:
    """The migrations that were not applied. Changes nothing."""
    with _alone():
        applied = applied_versions(connection) or {}
    _require_known(applied, wanted)
    if applied:
        _require_whole(connection, [migration for migration in wanted if migration.version in applied])
    return [migration for migration in wanted if migration.version not in applied]


def applied_versions(connection: Connection) -> dict[int, str] | None:
    """Version and checksum of every migration that was applied; None when there never was one."""
    with translated(step="read which control tables there are"):
        there = connection.execute(_IS_THERE).fetchall()
        if not there:
            return None
        rows = connection.execute("select version, checksum from replicator.schema_migration").fetchall()
    return dict(rows)


def missing_tables(connection: Connection, migrations: list[Migration]) -> list[str]:
    """The tables that these migrations have made and that are not there any more."""
    made: set[str] = set()
    for migration in migrations:
        for verb, name in _CREATED.findall(migration.text):
            (made.add if verb == "create" else made.discard)(name)
    with translated(step="look at the control tables"):
        there = {row[0] for row in connection.execute(_TABLES)}
    return sorted(made - there)


def _require_whole(connection: Connection, applied: list[Migration]) -> None:
    if missing := missing_tables(connection, applied):
        raise ConfigurationError(
            f"control tables were dropped by hand: {', '.join(f'replicator.{name}' for name in missing)}",
            hint=f"Restore them from a backup. Without one: {SET_ASIDE}",
        )


def require_known(connection: Connection) -> None:
    """Refuse control tables that a newer program has made: their columns may mean something else there.

    Raises :class:`ConfigurationError`.
    """
    applied = applied_versions(connection)
    if applied is None:
        raise ConfigurationError(
            "the schema 'replicator' has no list of what this program has made in it (replicator.schema_migration): it "
            "holds something that this program has not made, or something was renamed",
            hint=f"Check that REPLICATOR_POSTGRES_DSN names the right database. If it does, {SET_ASIDE}",
        )
    _require_known(applied, read_migrations())


@contextmanager
def _alone() -> Iterator[None]:
    """Say of a statement that does not fit what is there that the schema is not ours."""
    try:
        yield
    except TableChanged as error:
        raise _not_ours(error) from error
    except ReplicatorError as error:
        if isinstance(error.__cause__, psycopg.errors.DuplicateTable | psycopg.errors.DuplicateObject):
            raise _not_ours(error) from error
        raise


def _not_ours(error: ReplicatorError) -> ConfigurationError:
    return ConfigurationError(
        f"the schema 'replicator' holds something that this program has not made: {error.message}",
        hint=f"Check that REPLICATOR_POSTGRES_DSN names the right database. If it does, {SET_ASIDE}",
    )


def _require_known(applied: dict[int, str], wanted: list[Migration]) -> None:
    known = {migration.version: migration.checksum for migration in wanted}
    for version, checksum in applied.items():
        if version not in known:
            raise ConfigurationError(
                f"the control tables are of a newer version ({version}) than this program",
                hint="Run the newer release, or restore the schema 'replicator' of the older one.",
            )
        if known[version] != checksum:
            raise ConfigurationError(
                f"migration {version} was changed after it had been applied",
                hint="Install an unchanged release; migrations are never edited, only added.",
            )
