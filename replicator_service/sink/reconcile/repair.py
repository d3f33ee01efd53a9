"""The transaction of a repair: it holds the tables and the checkpoint still while a few keys are repaired.

The tables are locked before the checkpoint, as the writer takes them, so neither can wait for the other in a circle.
Once both are held, the tables show exactly the checkpoint's cluster time, and nobody else writes to them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from psycopg import sql

from replicator_service.core.errors import Retryable
from replicator_service.sink.control.checkpoint import read_checkpoint
from replicator_service.sink.errors import translated
from replicator_service.sink.write.journal import Journal
from replicator_service.sink.write.rows import RowWriter
from replicator_service.sink.write.statements import beside_parameters

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from replicator_service.core.mapping.model import TableSpec
    from replicator_service.core.rows import RowGroup
    from replicator_service.core.sessions import Checkpoint
    from replicator_service.sink.connect.connection import Connection
    from replicator_service.sink.reconcile.comparison import RowVersion

_LOCK_SECONDS = 2
"""Long enough for an autovacuum to give way, short enough not to hold up others who queue behind this lock."""


class RepairTransaction:
    """A transaction on ``connection``, as a ``with`` block: it commits at the end and rolls back on an error.

    ``checkpoint`` is where the tables are. Entering raises :class:`Retryable` when the tables are in use for long.
    """

    checkpoint: Checkpoint

    def __init__(self, connection: Connection, schema: str, stream: str, tables: Sequence[TableSpec]) -> None:
        self._connection = connection
        self._schema = schema
        self._stream = stream
        self._tables = tables
        self._targets = [sql.Identifier(schema, table.name) for table in tables]
        self._beside_parameters = [beside_parameters(schema, table.name) for table in tables]
        self._journal = Journal(connection, schema, stream)
        self._rows = RowWriter(connection, schema, self._journal)

    def __enter__(self) -> Self:
        try:
            with translated():
                self._connection.execute(f"begin; set local lock_timeout = '{_LOCK_SECONDS}s'")
                self._connection.execute(
                    sql.SQL("lock table {} in share row exclusive mode").format(sql.SQL(", ").join(self._targets))
                )
            self.checkpoint = self._locked_checkpoint()
            self._journal.begin()
        except BaseException:
            self._rollback()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._rollback()
            return
        with translated():
            self._connection.execute("commit")

    def write(self, group: RowGroup) -> None:
        """Write documents, as the service does.

        Raises :class:`RecordRejected` when PostgreSQL refuses one: the whole transaction has to be given up.
        """
        self._rows.begin()
        self._rows.write(group)

    def keys_with_rows(self, keys: Sequence[str]) -> set[str]:
        """Which of these keys have a row in any of the tables."""
        found: set[str] = set()
        with translated():
            for target in self._beside_parameters:
                query = sql.SQL("select distinct _id from {} where _id = any(%s)").format(target)
                found.update(key for (key,) in self._connection.execute(query, (list(keys),)))
        return found

    def delete(self, rows: Sequence[RowVersion]) -> None:
        """Delete rows that nobody has written since they were seen."""
        self._journal.note(self._journal.of_rows(self._tables, [row.key for row in rows]))
        with translated():
            for number, target in enumerate(self._beside_parameters):
                of_table = [row for row in rows if row.table == number]
                if not of_table:
                    continue
                statement = sql.SQL(
                    "delete from {} as t using unnest(%s::text[], %s::text[]) as u (key, version) "
                    "where t._id = u.key and t.xmin::text = u.version"
                ).format(target)
                self._connection.execute(statement, ([row.key for row in of_table], [row.version for row in of_table]))

    def _locked_checkpoint(self) -> Checkpoint:
        checkpoint = read_checkpoint(self._connection, self._stream, lock=True)
        if checkpoint is None or checkpoint.position is None:
            raise Retryable("the stream has lost its position", hint="The service reads everything again.")
        return checkpoint

    def _rollback(self) -> None:
        self._rows.rolled_back()
        if not self._connection.closed:
            with translated():
                self._connection.execute("rollback")
