"""Somebody who watches keys of replicated tables: declares columns, and reads what has changed as a mart does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from tests.support.databases import Sink
    from tests.support.replication import Replication

Keys = set[tuple[str, str, str | None]]
"""Table, column and value; None stands for any value."""


@dataclass(frozen=True)
class Watcher:
    """Reads the journal of one stream under a name of its own."""

    sink: Sink
    stream: str
    reader: str = "a reader"

    def watch(self, *columns: tuple[str, str], read_days_ago: int = 0) -> None:
        """Declare columns, each as table and column."""
        with self.sink.connect() as connection, connection.cursor() as cursor:
            cursor.executemany(
                "insert into replicator.key_watch (reader, stream, table_name, key_column, read_at) "
                "values (%s, %s, %s, %s, now() - make_interval(days => %s))",
                [(self.reader, self.stream, *each, read_days_ago) for each in columns],
            )

    def wait_until_kept(self, replication: Replication) -> None:
        """Wait until the service says that every commit from now on is in the journal."""
        query = "select bool_and(is_kept) from replicator.key_watch where reader = %s"

        def is_kept() -> bool:
            # An idle stream commits only with MongoDB's own entries, every ten seconds.
            replication.catch_up()
            return self._value(query) is True

        wait_until(is_kept, message="the watch to be kept")

    def read(self, replication: Replication | None = None) -> Keys:
        """Take everything that is in the journal, once the service has caught up."""
        if replication is not None:
            replication.catch_up()
        with self.sink.connect() as connection:
            rows = connection.execute(
                "delete from replicator.changed_key where reader = %s returning table_name, key_column, key",
                [self.reader],
            ).fetchall()
            connection.execute(
                "update replicator.key_watch set reads = reads + 1, read_at = now() where reader = %s", [self.reader]
            )
        return {(table, column, key) for table, column, key in rows}

    def read_until(self, replication: Replication, key: tuple[str, str, str | None]) -> Keys:
        """Read again and again until this key was there and return everything."""
        found: Keys = set()

        def is_there() -> bool:
            found.update(self.read(replication))
            return key in found

        wait_until(is_there, message=f"{key} in the journal")
        return found

    def _value(self, query: str) -> object:
        with self.sink.connect() as connection:
            row = connection.execute(query.encode(), [self.reader]).fetchone()
        return row and row[0]
