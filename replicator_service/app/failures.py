"""Leaving behind why the service ended, for whoever looks afterwards."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

from replicator_service.core.errors import ReplicatorError
from replicator_service.runtime.log.masking import Mask
from replicator_service.sink.connect.connection import connect
from replicator_service.sink.overview.failures import FailureRecord, record_failure

if TYPE_CHECKING:
    from replicator_service.configuration.settings import Settings


def leave_behind(settings: Settings, error: ReplicatorError) -> None:
    """Remember ``error`` in PostgreSQL, where that is possible: it may be what cannot be reached. Never raises ours."""
    dsn, uri = settings.postgres_dsn.get_secret_value(), settings.mongo_uri.get_secret_value()
    mask = Mask((dsn, uri))
    record = FailureRecord(mask(error.message), mask(error.hint), error.exit_code)
    instance = f"{socket.gethostname()}, process {os.getpid()}"
    with suppress(ReplicatorError), connect(dsn, application_name="replicator failure") as connection:
        record_failure(connection, settings.mongo_database, instance, record)
