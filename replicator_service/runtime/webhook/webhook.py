"""Looks at the service once a second and hands to the delivery what has to be told."""

from __future__ import annotations

import threading
import uuid
from typing import TYPE_CHECKING

from replicator_service.runtime.webhook.messages import Announcer, document

if TYPE_CHECKING:
    from collections.abc import Callable

    from replicator_service.runtime.judgement.service_view import ServiceView
    from replicator_service.runtime.log.logging import Logger
    from replicator_service.runtime.webhook.delivery import Deliveries, Delivery

_POLL_SECONDS = 1.0


class Webhook:
    """Two threads: one polls, one delivers. A receiver that hangs keeps nobody waiting but the latter."""

    def __init__(
        self, service_view: Callable[[], ServiceView], announcer: Announcer, delivery: Delivery, *, instance: str
    ) -> None:
        self._service_view = service_view
        self._announcer = announcer
        self._delivery = delivery
        self._instance = instance
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="webhook watch", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._delivery.start()
        self._thread.start()

    def stop(self) -> None:
        """Poll once more, and end; waits for a receiver some seconds at most."""
        self._stopping.set()
        self.poll()
        self._delivery.stop()

    def poll(self) -> None:
        """Poll the service once."""
        service = self._service_view()
        with self._lock:
            messages = self._announcer.messages(service)
        for message in messages:
            self._delivery.enqueue(
                document(
                    message,
                    identity=str(uuid.uuid4()),
                    stream=service.report.stream,
                    instance=self._instance,
                    state=service.state.value,
                )
            )

    def _run(self) -> None:
        while not self._stopping.wait(_POLL_SECONDS):
            self.poll()


class DeliveryLog:
    """Says once that messages do not arrive, and once that they do again."""

    def __init__(self, log: Logger) -> None:
        self._log = log
        self._is_failing = False

    def __call__(self, deliveries: Deliveries) -> None:
        """Hear how it stands."""
        is_failing = deliveries.problem is not None
        if is_failing and not self._is_failing:
            self._log.warning(
                "webhook failed",
                cause=deliveries.problem,
                hint="Check REPLICATOR_WEBHOOK_URL and the receiver. It is tried again for ten minutes.",
            )
        elif self._is_failing and not is_failing:
            self._log.info("webhook works again", sent=deliveries.sent, failed=deliveries.failed)
        self._is_failing = is_failing
