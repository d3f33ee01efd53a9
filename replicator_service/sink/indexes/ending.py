"""Ending builds that are in the way of the writer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.sink.errors import translated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replicator_service.sink.connect.connection import Connection

APPLICATION = "replicator: indexes"
"""The name of the session that builds: whoever needs a table for something else ends its build by this."""

_END = """
select pg_catalog.pg_cancel_backend(p.pid)
from pg_catalog.pg_stat_progress_create_index as p
inner join pg_catalog.pg_stat_activity as a on a.pid = p.pid and a.application_name = %s
inner join pg_catalog.pg_class as c on c.oid = p.relid
inner join pg_catalog.pg_namespace as n on n.oid = c.relnamespace and n.nspname = %s
where c.relname = any(%s) and a.usename = current_user
"""


def end_builds(connection: Connection, schema: str, tables: Sequence[str]) -> None:
    """Break off what is being built on these tables, before they are altered or dropped.

    A build waits for transactions that have seen its table, and keeps a lock that an ``alter table`` waits for: the
    writer would wait for hours, or both for each other. The builder begins again by itself.
    """
    with translated(step=f"end the making of indexes in the schema {schema}"):
        connection.execute(_END, (APPLICATION, schema, list(tables)))
