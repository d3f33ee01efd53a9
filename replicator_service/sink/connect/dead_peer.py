"""Telling a server that takes its time from one that cannot be heard any more.

A statement may rightly take hours (an analyst holds a lock, a large table is swept), so no timeout can decide. TCP
notices a machine that is gone, but not a proxy or a firewall that keeps the line open and passes nothing on. So
whoever has waited for a while asks the server on another line what it does for this one.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import psycopg

from replicator_service.sink.connect.session import session_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg.abc import PQGen

IDLE_SECONDS = 4.0
"""After so long without a byte the server is asked."""

ANSWER_SECONDS = 3
"""How long the server may take to answer that."""

_AGAIN_SECONDS = 1.0
_STRIKES = 2
"""An answer that is just under way makes the server look idle: only two answers in a row count."""

_IS_AT_WORK = """
select
    coalesce(a.state not like 'idle%%', true)
        and a.wait_event is distinct from 'ClientRead' and a.wait_event is distinct from 'ClientWrite',
    c.bytes_processed
from pg_catalog.pg_stat_activity as a
left join pg_catalog.pg_stat_progress_copy as c on c.pid = a.pid
where a.pid = %s
"""


class Unheard(psycopg.OperationalError):
    """The server cannot be heard any more; the connection is closed."""


class HeardConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that is closed when nothing comes from the server and the server does not work for it either.

    The statement that waits then raises :class:`Unheard`. Before :meth:`listen` it waits as any other connection.
    """

    _is_at_work: Callable[[], bool] | None = None
    _idle_seconds = IDLE_SECONDS

    def listen(self, is_at_work: Callable[[], bool], *, idle_seconds: float = IDLE_SECONDS) -> None:
        """From now on, ask ``is_at_work`` whenever nothing has come for ``idle_seconds``."""
        self._is_at_work = is_at_work
        self._idle_seconds = idle_seconds

    def wait(self, gen: PQGen[Any], *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - as the driver has it
        """Wait as the driver does, and listen meanwhile."""
        if self._is_at_work is not None:
            gen = self._listening(gen, self._is_at_work)
        return super().wait(gen, *arguments, **options)

    def _listening(self, gen: PQGen[Any], is_at_work: Callable[[], bool]) -> PQGen[Any]:
        strikes = 0
        due = time.monotonic() + self._idle_seconds
        try:
            waits_for = next(gen)
            while True:
                ready = yield waits_for
                if ready:
                    strikes, due = 0, time.monotonic() + self._idle_seconds
                elif time.monotonic() >= due:
                    strikes = 0 if is_at_work() else strikes + 1
                    if strikes == _STRIKES:
                        self.close()
                        raise Unheard("the server cannot be heard any more")
                    due = time.monotonic() + (_AGAIN_SECONDS if strikes else self._idle_seconds)
                waits_for = gen.send(ready)
        except StopIteration as end:
            return end.value


class Listener:
    """Tells whether the server works for the backend ``pid``: on a statement, or by taking in a COPY, however slowly.

    False too when there is no answer at all; a server that refuses to be asked is at least there.
    """

    def __init__(self, dsn: str, pid: int) -> None:
        self._dsn = dsn
        self._pid = pid
        self._bytes: int | None = None

    def __call__(self) -> bool:
        """One look, on a line of its own."""
        try:
            with HeardConnection.connect(
                self._dsn, autocommit=True, connect_timeout=ANSWER_SECONDS, application_name="replicator listener"
            ) as connection:
                connection.listen(lambda: False, idle_seconds=ANSWER_SECONDS - _AGAIN_SECONDS)
                connection.execute(session_settings(connection.info.server_version))
                row = connection.execute(_IS_AT_WORK, (self._pid,)).fetchone()
        except (Unheard, psycopg.errors.ConnectionTimeout):
            return False
        except psycopg.Error:
            return True
        is_working, arrived = row or (False, None)
        # What is under way through proxies and buffers arrives although nothing is heard.
        has_moved = arrived is not None and arrived != self._bytes
        self._bytes = arrived
        return bool(is_working or has_moved)
