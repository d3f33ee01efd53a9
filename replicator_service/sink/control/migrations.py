"""The control tables: numbered SQL files, applied once each, in order, and never changed afterwards."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from replicator_service.core.errors import ConfigurationError
from replicator_service.sink.errors import translated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from replicator_service.sink.connect.connection import Connection

_LOCK = "select pg_advisory_xact_lock(hashtextextended('replicator:migrations', 0))"
_HISTORY = """
create table if not exists replicator.schema_migration (
    version integer not null,
    name text not null,
    checksum text not null,
    applied_at timestamptz not null default now(),
    constraint schema_migration_pkey primary key (version)
)
"""


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

    Safe to call from several instances at once, and again.

    All or nothing: a start that is cut short leaves nothing behind.

    Raises :class:`ConfigurationError` when an applied file was changed, the database is newer than this program, or
    somebody else's tables are in the way.
    """
    wanted = read_migrations() if migrations is None else migrations
    with translated(), connection.transaction(), _alone():
        connection.execute(_LOCK)
        # A user who may not create schemas may not even ask for one that is there.
        if connection.execute("select from pg_namespace where nspname = 'replicator'").rowcount == 0:
            connection.execute("create schema replicator")
        connection.execute(_HISTORY)
        rows = connection.execute("select version, checksum from replicator.schema_migration").fetchall()
        applied: dict[int, str] = dict(rows)
        _require_known(applied, wanted)
        pending = [migration for migration in wanted if migration.version not in applied]
        for migration in pending:
            connection.execute(migration.text.encode())
            connection.execute(
                "insert into replicator.schema_migration (version, name, checksum) values (%s, %s, %s)",
                (migration.version, migration.name, migration.checksum),
            )
    return [migration.version for migration in pending]


def require_known(connection: Connection) -> None:
    """Refuse control tables that a newer program has made: their columns may mean something else there.

    Raises :class:`ConfigurationError`.
    """
    with translated(), _alone():
        rows = connection.execute("select version, checksum from replicator.schema_migration").fetchall()
    _require_known(dict(rows), read_migrations())


@contextmanager
def _alone() -> Iterator[None]:
    """Say of a statement that does not fit what is there that the schema is not ours."""
    try:
        yield
    except psycopg.errors.InsufficientPrivilege:
        raise
    except psycopg.ProgrammingError as error:
        raise ConfigurationError(
            f"the schema 'replicator' holds something that this program has not made ({error.diag.message_primary})",
            hint="Check that REPLICATOR_POSTGRES_DSN names the right database. If it does and the schema is of no use: "
            "drop schema replicator cascade; everything is then read again.",
        ) from error


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
