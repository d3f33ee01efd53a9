"""Limits for tests that start, stop and wait often."""

from __future__ import annotations

from replicator_service.pipeline.loop import Pace
from replicator_service.pipeline.term import Limits

LIVELY = Limits(poll_wait_ms=20, pace=Pace(heartbeat_seconds=0.02, request_seconds=0.02))
"""The usual sizes, and no second spent on waiting for an idle stream."""
