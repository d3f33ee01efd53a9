"""How long MongoDB keeps its oplog, which bounds an outage."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from replicator_service.core.errors import ReplicatorError
from replicator_service.core.position import seconds_of, to_cluster_time
from replicator_service.source.errors import translated
from replicator_service.source.read.oplog import oldest_time

if TYPE_CHECKING:
    from replicator_service.core.findings import Checklist
    from replicator_service.source.connect.connection import Client

RETENTION = "oplog retention"
NAMES = (RETENTION,)

ADVISED_HOURS = 24.0
_TELLING_HOURS = 1.0
"""A younger oplog says nothing about the rate of writes."""

_GRANT = (
    "Grant the role clusterMonitor (on admin) to the replicator's user to have this checked; replicating does not "
    "need it."
)
_KEEP_LONGER = (
    "db.adminCommand({replSetResizeOplog: 1, minRetentionHours: 24}) on each member, or a larger oplogSizeMB: an "
    "outage of the service that lasts longer than the oplog means reading everything again."
)


def check_retention(client: Client, checks: Checklist) -> None:
    """Look at how long the oplog is kept, as far as privileges go."""
    oldest: int | None = None
    with suppress(ReplicatorError):
        # That it cannot be read has a line of its own, among the abilities.
        oldest = oldest_time(client)
    with checks.warning(RETENTION, _GRANT):
        _check_hours(client, oldest, checks)


def _check_hours(client: Client, oldest: int | None, checks: Checklist) -> None:
    with translated():
        status = client.admin.command("serverStatus", oplogTruncation=1, metrics=0, wiredTiger=0, tcmalloc=0)
    guaranteed = float(status.get("oplogTruncation", {}).get("oplogMinRetentionHours", 0.0))
    if guaranteed >= ADVISED_HOURS:
        checks.ok(RETENTION, f"at least {guaranteed:g} hours are kept")
        return
    expected = None if oldest is None else _expected_hours(client, oldest)
    told = "no minimum is set" if not guaranteed else f"at least {guaranteed:g} hours are kept"
    if expected is not None:
        told += f"; at the present rate of writes the oplog holds about {_spelled(expected)}"
    checks.warn(RETENTION, told, _KEEP_LONGER)


def _expected_hours(client: Client, oldest: int) -> float | None:
    """How many hours the oplog spans once it is full."""
    oplog = client.local["oplog.rs"]
    with translated():
        stats: dict[str, Any] = client.local.command("collStats", "oplog.rs")
        newest = oplog.find_one({}, {"_id": 0, "ts": 1}, sort=[("$natural", -1)])
    if newest is None:
        return None
    span = (seconds_of(to_cluster_time(newest["ts"])) - seconds_of(oldest)) / 3_600
    if span < _TELLING_HOURS:
        return None
    filled = stats.get("size", 0) / stats.get("maxSize", 1)
    return span / filled if 0 < filled < 1 else span


def _spelled(hours: float) -> str:
    return f"{hours:.1f} hours" if hours < 1_000 else f"{hours / 24:.0f} days"
