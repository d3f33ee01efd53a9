"""The lease: one leader a stream, by a session advisory lock on the writer's own connection.

When the connection is gone, so is the lease; the epoch in the checkpoint fences off a leader that does not know yet.
The connection of a process that is frozen stays, though: its kernel answers for it. So a leader shows now and then
that it lives, and whoever stands by ends the session of one that has not for too long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from replicator_service.core.errors import ConfigurationError
from replicator_service.sink.errors import translated

if TYPE_CHECKING:
    from collections.abc import Callable

    from replicator_service.core.errors import ReplicatorError
    from replicator_service.sink.connect.connection import Connection

NAMESPACE = "replicator:"
_RENEWS = "replicator renews:"
_AWAY_SECONDS = 5.0
"""Between two looks of a standby, which looks every second: longer, and it was frozen itself."""

HELD = """
with key as (select hashtextextended(%(lease)s, 0) as value),

holder as (
    select l.pid
    from pg_locks as l
    cross join key as k
    inner join pg_database as d on d.oid = l.database and d.datname = current_database()
    where l.locktype = 'advisory' and l.objsubid = 1 and l.granted
        and l.classid::bigint = (k.value >> 32) & 4294967295
        and l.objid::bigint = k.value & 4294967295
)
"""
"""The two halves of an advisory lock's 64-bit key are classid and objid, see the manual's page on pg_locks."""

_WAITS_FOR_CLIENT = (
    HELD
    + """
select a.pid, a.backend_start, a.state_change, c.bytes_processed
from holder as h
inner join pg_stat_activity as a on a.pid = h.pid
left join pg_stat_progress_copy as c on c.pid = a.pid
cross join (select hashtextextended(%(renews)s, 0) as value) as k
inner join pg_locks as r on r.pid = h.pid and r.locktype = 'advisory' and r.objsubid = 1 and r.granted
    and r.classid::bigint = (k.value >> 32) & 4294967295
    and r.objid::bigint = k.value & 4294967295
where a.wait_event = 'ClientRead'
"""
)
_END = (
    HELD
    + """
select pg_terminate_backend(h.pid)
from holder as h
inner join pg_stat_activity as a on a.pid = h.pid
where a.pid = %(pid)s and a.state_change = %(state_change)s
"""
)


def try_lease(connection: Connection, stream: str) -> bool:
    """Take the lease if nobody holds it. It lasts as long as the connection."""
    with translated():
        row = connection.execute(
            "select pg_try_advisory_lock(hashtextextended(%s, 0))", (NAMESPACE + stream,)
        ).fetchone()
    return bool(row and row[0])


def begin_renewing(connection: Connection, stream: str) -> None:
    """Promise to :func:`renew` from here on, by a second lock. Before, a leader may be busy elsewhere for long."""
    with translated():
        connection.execute("select pg_try_advisory_lock(hashtextextended(%s, 0))", (_RENEWS + stream,))


def renew(connection: Connection) -> None:
    """Show that this leader lives, also in the middle of a transaction. Raises when the connection is gone."""
    with translated():
        connection.execute("select 1")


class HolderWatch:
    """Watches the leader from a standby's connection, and ends its session when it is frozen.

    Frozen is a session that has promised to renew its lease, waits for its client and has not moved for ``seconds``:
    no statement, no byte of a COPY. A statement that takes hours never counts: then the client waits for the server.
    Nor does time in which nobody has looked: the standby itself may have been frozen.
    """

    def __init__(self, connection: Connection, stream: str, *, seconds: float, clock: Callable[[], float]) -> None:
        self._connection = connection
        self._named = {"lease": NAMESPACE + stream, "renews": _RENEWS + stream}
        self._seconds = seconds
        self._clock = clock
        self._seen: tuple[Any, ...] | None = None
        self._since = self._looked = clock()
        self.refusal: ReplicatorError | None = None
        """Why a frozen leader could not be ended, once that has been tried."""

    def end_if_frozen(self) -> bool:
        """One look; whether a session was ended. The lease is then free, and not yet taken."""
        with translated():
            seen = self._connection.execute(_WAITS_FOR_CLIENT, self._named).fetchone()
        now = self._clock()
        was_away = now - self._looked > _AWAY_SECONDS
        self._looked = now
        if seen is None or seen != self._seen or was_away:
            self._seen, self._since = seen, now
            return False
        if now - self._since < self._seconds:
            return False
        self._seen = None
        try:
            with translated():
                named = {**self._named, "pid": seen[0], "state_change": seen[2]}
                ended = self._connection.execute(_END, named).fetchone()
        except ConfigurationError as error:
            self.refusal = error
            return False
        return bool(ended and ended[0])
