"""The page of the webhook's messages: the fields, and a message as the code makes it."""

from __future__ import annotations

import json

from devstack.reference.markdown import code, filled, table
from devstack.reference.sample import AT, SERVICE, STREAM
from replicator_service.runtime.webhook.messages import FIELDS, Announcer, document


def page() -> str:
    """The whole page."""
    messages = Announcer(max_lag_seconds=300.0, wall_clock=lambda: AT).messages(SERVICE)
    message = next(each for each in messages if each.cause == "dead_letters")
    example = document(
        message,
        identity="6f1c1a52-0a0e-4f0e-9a55-2f3f6f0c7b11",
        stream=STREAM,
        instance="replicator-0:7",
        state=SERVICE.state.value,
    )
    rows = [(code(name), meaning) for name, meaning in FIELDS.items()]
    return filled("webhook", {"fields": table(("field", "meaning"), rows), "example": json.dumps(example, indent=2)})
