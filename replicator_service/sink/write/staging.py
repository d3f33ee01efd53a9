"""The staging table: one temporary table a session, in which the lines of all tables wait as text.

One, because PostgreSQL empties each table of a session that is made for it (``on commit delete rows``) at every
commit that has used any of them: 0.2 ms each. Its columns are text, so they are those of every table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from replicator_service.core.errors import ConfigurationError, Fatal
from replicator_service.sink.write.statements import STAGING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replicator_service.core.lines import Lines
    from replicator_service.core.mapping.model import TableSpec
    from replicator_service.sink.connect.connection import Connection

MAX_COLUMNS = 200
"""A row of more columns of text may not fit a page although its own types do: see :meth:`Staging.fits`."""

_NULL = b"\t\\N"


class Staging:
    """The staging table of ``connection``, made when it is first used."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._width = 0
        """So many columns the table is known to have."""

    def forget(self) -> None:
        """The transaction that may have made the table was rolled back."""
        self._width = 0

    def fits(self, table: TableSpec) -> bool:
        """Whether lines of this table can be staged."""
        return len(table.columns) <= MAX_COLUMNS

    def copy(self, parts: Sequence[tuple[TableSpec, Lines]], *, first_target: int) -> None:
        """Add lines in one COPY; parts have consecutive targets. The driver's errors are not translated."""
        width = max(len(table.columns) for table, _ in parts)
        if width > self._width:
            self._make(width)
        columns = ", ".join(f"c{number}" for number in range(1, width + 1))
        statement = sql.SQL("copy {} (target, {}) from stdin").format(STAGING, sql.SQL(columns))
        cursor = self._connection.cursor()
        with cursor.copy(statement) as copy:
            for target, (table, lines) in enumerate(parts, first_target):
                before, after = b"%d\t" % target, _NULL * (width - len(table.columns)) + b"\n"
                for piece in lines.pieces():
                    copy.write(before + piece[:-1].replace(b"\n", after + before) + after)
        expected = sum(lines.count for _, lines in parts)
        if cursor.rowcount != expected:
            raise Fatal(
                f"PostgreSQL staged {cursor.rowcount} of {expected} lines",
                hint="Nothing was written. Please report this with PostgreSQL's version and what is between it and the "
                "service.",
            )

    def _make(self, width: int) -> None:
        columns = [sql.Identifier(f"c{number}") for number in range(1, width + 1)]
        create = sql.SQL("create temporary table if not exists {} (target integer) on commit delete rows").format(
            STAGING
        )
        add = sql.SQL("alter table {} {}").format(
            STAGING,
            sql.SQL(", ").join(sql.SQL("add column if not exists {} text").format(column) for column in columns),
        )
        try:
            self._connection.execute(sql.SQL("{}; {}").format(create, add))
        except psycopg.errors.InsufficientPrivilege as error:
            info = self._connection.info
            raise ConfigurationError(
                "the PostgreSQL role may not create temporary tables, which rows are staged in",
                hint=f"{_grant(info.dbname, info.user)};",
            ) from error
        self._width = width


def _grant(database: str, role: str) -> str:
    return sql.SQL("grant temporary on database {} to {}").format(*map(sql.Identifier, (database, role))).as_string()
