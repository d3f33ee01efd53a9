"""The server: sessions of processes, advisory locks, and what happens to all of it from outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from replicator_service.core.errors import Retryable
from simulation.postgres.storage import Storage, Transaction
from simulation.scheduler import Process

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from simulation.scheduler import Scheduler

TABLES = "pg_class"
"""The relation that lists the replicated tables: name → :class:`TableShape`."""


def rows_of(table: str) -> str:
    """The relation that holds the rows of a replicated table."""
    return f"origin.{table}"


@dataclass(frozen=True, slots=True)
class TableShape:
    """A replicated table's columns and key; ``serial`` is another one for a table that was made anew."""

    columns: tuple[tuple[str, str], ...]
    primary_key: tuple[str, ...]
    serial: int


@dataclass(frozen=True, slots=True)
class Row:
    """A row: its values as COPY text, from when they are valid, and which write made this version of it."""

    values: str
    valid_from: str
    version: int


class ServerSession:
    """A backend. ``activity`` counts its statements; ``is_busy`` while it works on one."""

    def __init__(self, server: Server, process: Process) -> None:
        self._server = server
        self.process = process
        self.is_alive = True
        self.is_busy = False
        self.activity = 0
        self.transaction: Transaction | None = None
        self.locks: set[Hashable] = set()

    def end(self) -> None:
        """Roll back, release everything, be gone."""
        if self.is_alive:
            self.is_alive = False
            if self.transaction is not None:
                self.transaction.rollback()
                self.transaction = None
            for name in self.locks:
                self._server.advisory.pop(name, None)
            self.locks.clear()
            self._server.sessions.remove(self)


class Server:
    """One PostgreSQL deployment. ``order`` is how it sorts text; ``refused`` are rows that it does not take.

    ``on_commit`` is called after every commit that moved a checkpoint, before anybody else gets a turn.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.own = Process(scheduler, "postgres")
        self.storage = Storage(scheduler)
        self.sessions: list[ServerSession] = []
        self.advisory: dict[Hashable, ServerSession] = {}
        self.is_up = True
        self.order: Callable[[str], tuple[str, ...]] = lambda text: (text,)
        self.refused: set[tuple[str, str]] = set()
        """Table and document of rows that are not taken."""
        self.on_commit: Callable[[], None] = lambda: None
        self.on_statement: Callable[[Process, str], None] | None = None
        """Told of what is written, when somebody wants to read it."""

    def connect(self, process: Process) -> ServerSession:
        """A new session. Raises :class:`Retryable` while the server is away."""
        self.require_up()
        session = ServerSession(self, process)
        self.sessions.append(session)
        return session

    def require_up(self) -> None:
        """Raise :class:`Retryable` while the server is away."""
        if not self.is_up:
            raise Retryable("PostgreSQL cannot be reached")

    def try_advisory_lock(self, name: Hashable, session: ServerSession) -> bool:
        """Take a session's lock if nobody has it."""
        holder = self.advisory.setdefault(name, session)
        if holder is session:
            session.locks.add(name)
        return holder is session

    def end_sessions(self, process: Process | None = None) -> None:
        """End the sessions of a process, or all of them."""
        for session in list(self.sessions):
            if process is None or session.process is process:
                session.end()

    def end_later(self, session: ServerSession, seconds: float) -> None:
        """End a session whose client is gone when the server notices."""

        def end() -> None:
            self.scheduler.sleep(seconds)
            session.end()

        self.scheduler.start(self.own, "ends a session", end)

    def committed(self) -> None:
        """A transaction with a checkpoint has just been committed."""
        self.on_commit()

    def lose(self, commits: int) -> None:
        """Fail over to a replica that lacks the last commits."""
        self.end_sessions()
        self.storage.lose(commits)

    def restore(self) -> None:
        """Become another cluster with the same content: dumped and restored, every row written anew."""
        self.end_sessions()
        self.storage.past.clear()
        renewed = {}
        for name, rows in self.storage.committed.items():
            renewed[name] = {
                key: Row(row.values, row.valid_from, self.storage.next_number()) if isinstance(row, Row) else row
                for key, row in rows.items()
            }
        self.storage.committed = renewed
