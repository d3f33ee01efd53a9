"""Which ``as_of`` a load gets, decided when its turn has come."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from psycopg import sql

from warehouse_jobs.marts.catalog import exists
from warehouse_jobs.marts.control_tables import LOAD_RUN, SCHEMA
from warehouse_jobs.marts.errors import AsOfRefusedError, MartError

if TYPE_CHECKING:
    from datetime import datetime

    from warehouse_jobs.marts.definition import Mart
    from warehouse_jobs.marts.server import Cursor


def require_zone(*times: datetime | None) -> None:
    """Raise MartError for a time without a time zone."""
    if any(time is not None and time.utcoffset() is None for time in times):
        raise MartError("the time of a load needs a time zone", hint="For example 2026-01-31T00:00:00+00:00.")


def last_as_of(cursor: Cursor, mart: Mart) -> datetime | None:
    """The ``as_of`` of the last load."""
    if not exists(cursor, f"{SCHEMA}.load_run"):
        return None
    query = sql.SQL("select max(as_of) from {} where mart = %s").format(LOAD_RUN)
    row = cursor.execute(query, [mart.name]).fetchone()
    return cast("tuple[datetime | None]", row)[0]


def decided(
    cursor: Cursor, mart: Mart, wanted: datetime | None, default: datetime | None, last: datetime | None
) -> datetime:
    """The time of a load; when it is not later than ``last``, the load has been done already.

    ``wanted`` is what a person asked for: AsOfRefusedError when it is in the future by PostgreSQL's clock, or older
    than the last load. Without it the time is ``default`` (of a scheduled run), but never later than now, or else now.
    """
    now = cast("tuple[datetime]", cursor.execute("select clock_timestamp()").fetchone())[0]
    if last is not None and last > now:
        raise AsOfRefusedError(
            f"mart {mart.name} was loaded as of {last.isoformat()}, which is still in the future",
            hint=f"No load can follow it. Take it back with: warehouse marts undo {mart.name}",
        )
    if wanted is None:
        return min(default or now, now)
    if wanted > now:
        raise AsOfRefusedError(
            f"mart {mart.name}: {wanted.isoformat()} is in the future: at PostgreSQL it is {now.isoformat()}",
            hint="Load with an as_of that is past (the default is now): no load could follow this one until then.",
        )
    if last is not None and wanted < last:
        raise AsOfRefusedError(
            f"mart {mart.name} was already loaded as of {last.isoformat()}, later than {wanted.isoformat()}",
            hint="History is not rewritten: load with a later as_of (the default is now).",
        )
    return wanted
