"""``replicator check``: everything that could be wrong before a start, asked without changing anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.configuration.mapping_file import read_mapping
from replicator_service.configuration.privacy import door_of
from replicator_service.core.compiled import path_told
from replicator_service.core.errors import ReplicatorError
from replicator_service.core.findings import Checklist, Finding, Level
from replicator_service.core.naming import schema_name
from replicator_service.sink.check.control_checks import TABLES as CONTROL_TABLES
from replicator_service.sink.check.preflight import check_sink
from replicator_service.source.check.preflight import POSITION, TOPOLOGY, Wishes, check_position, check_source
from replicator_service.source.check.privacy import PERSONAL, RULES, check_privacy

if TYPE_CHECKING:
    from replicator_service.configuration.settings import Settings
    from replicator_service.core.mapping.model import Mapping

SETTINGS = "settings"
MAPPING = "mapping"
HOT_PATH = "hot path"
_UNREADABLE = ("mongodb reachable", TOPOLOGY, "mongodb primary", "mongodb credentials")


def preflight(settings: Settings, *, now: float) -> list[Finding]:
    """Every check in order; ``now`` is the wall clock in seconds since 1970."""
    checks = Checklist()
    checks.ok(SETTINGS, "complete")
    with checks.failing(HOT_PATH):
        checks.ok(HOT_PATH, path_told())
    mapping = _check_mapping(settings, checks)
    database = settings.mongo_database
    uri = settings.mongo_uri.get_secret_value()
    wishes = Wishes(settings.accept_inexact, settings.read_from)
    check_source(uri, database, checks, now=now, wishes=wishes)
    checkpoint = check_sink(
        settings.postgres_dsn.get_secret_value(), database, schema_name(database), mapping, checks, now=now
    )
    if mapping is not None and not any(checks.failed(name) for name in _UNREADABLE):
        check_privacy(uri, database, mapping, checks)
    else:
        checks.skip(PERSONAL, RULES)
    if not _is_good(CONTROL_TABLES, checks):
        checks.skip(POSITION)
    elif checkpoint is None or checkpoint.position is None:
        checks.ok(POSITION, "none yet: everything will be read")
    elif any(checks.failed(name) for name in _UNREADABLE):
        checks.skip(POSITION)
    else:
        check_position(uri, database, checkpoint.position, checks)
    return checks.findings


def _is_good(name: str, checks: Checklist) -> bool:
    """Whether this check was made and found what it wanted."""
    return any(found.name == name and found.level is Level.OK for found in checks.findings)


def _check_mapping(settings: Settings, checks: Checklist) -> Mapping | None:
    try:
        mapping = read_mapping(settings.mapping)
    except ReplicatorError as error:
        checks.fail(MAPPING, error.message, error.hint, exit_code=error.exit_code)
        return None
    try:
        door_of(settings, mapping)
    except ReplicatorError as error:
        checks.fail(MAPPING, error.message, error.hint, exit_code=error.exit_code)
        return mapping
    count = len(mapping.collections)
    told = (
        "none: every collection becomes a document table" if settings.mapping is None else f"typed collections: {count}"
    )
    checks.ok(MAPPING, told)
    return mapping
