"""Row groups into tables: delete and copy what is fresh, merge what has changed.

Copying straight into a table after deleting its keys is faster than staging for documents that are mostly new.
Documents that exist are merged, so that PostgreSQL sees updates as updates: no index entry is written for a column
that stays, and elements of arrays that stay are not written at all.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from replicator_service.sink.errors import translated
from replicator_service.sink.write.statements import Statements, compose

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg import sql

    from replicator_service.core.mapping.model import TableSpec
    from replicator_service.core.rows import CollectionRows, RowGroup
    from replicator_service.sink.connect.connection import Connection


class RowWriter:
    """Writes row groups in the transaction that is open on ``connection``."""

    def __init__(self, connection: Connection, schema: str) -> None:
        self._connection = connection
        self._schema = schema
        self._statements: dict[TableSpec, Statements] = {}
        self._staged: set[TableSpec] = set()
        """Tables whose staging table exists on this connection."""
        self._used: set[TableSpec] = set()
        """Those whose staging table holds rows of this transaction."""

    def write(self, group: RowGroup) -> int:
        """Write every row of the group and return how many there were.

        Raises :class:`RecordRejected` when PostgreSQL refuses a row: the transaction, or its savepoint, has to be
        rolled back.
        """
        return sum(self._write_collection(rows) for rows in group.collections.values())

    def begin(self) -> None:
        """A transaction begins: each commit has emptied the staging tables."""
        self._used.clear()

    def rolled_back(self) -> None:
        """Staging tables that were made in the part that was rolled back do not exist."""
        self._staged.clear()

    def statements(self, table: TableSpec) -> Statements:
        """The statements of a table, composed at first use."""
        found = self._statements.get(table)
        if found is None:
            found = self._statements[table] = compose(self._schema, table)
        return found

    def _write_collection(self, rows: CollectionRows) -> int:
        written = len(rows.deleted_keys)
        gone = array_text(rows.deleted_keys + rows.fresh_keys)
        changed_keys = array_text(rows.changed_keys)
        for table, fresh, changed in zip(rows.tables, rows.fresh, rows.changed, strict=True):
            statements = self.statements(table)
            with translated():
                if rows.deleted_keys or rows.fresh_keys:
                    self._connection.execute(statements.delete, (gone,))
                if fresh:
                    self._copy(statements.copy, fresh)
                if rows.changed_keys:
                    self._merge(table, statements, changed, changed_keys)
            written += len(fresh) + len(changed)
        return written

    def _merge(self, table: TableSpec, statements: Statements, lines: list[str], keys: str) -> None:
        if table not in self._staged:
            self._connection.execute(statements.create_staging)
            self._staged.add(table)
        if table in self._used:
            self._connection.execute(statements.empty_staging)
        self._used.add(table)
        if lines:
            self._copy(statements.copy_staging, lines)
        if statements.prune is not None:
            self._connection.execute(statements.prune, (keys,))
        if lines:
            self._connection.execute(statements.merge)

    def _copy(self, statement: sql.Composed, lines: list[str]) -> None:
        data = ("\n".join(lines) + "\n").encode()
        with self._connection.cursor().copy(statement) as copy:
            copy.write(data)


_NEEDS_NO_QUOTES = re.compile(r"[0-9A-Za-z_:.$-]+(?:,[0-9A-Za-z_:.$-]+)*")


def array_text(keys: Sequence[str]) -> str:
    """A ``text[]`` in PostgreSQL's input form. The driver quotes key by key, which costs as much as a row."""
    joined = ",".join(keys)
    if _NEEDS_NO_QUOTES.fullmatch(joined) and joined.count(",") == len(keys) - 1 and "null" not in joined.lower():
        return "{" + joined + "}"
    quoted = (key.replace("\\", "\\\\").replace('"', '\\"') for key in keys)
    return "{" + ",".join(f'"{key}"' for key in quoted) + "}"
