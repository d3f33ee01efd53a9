"""The status of a stream: what its service says, and where none answers, what PostgreSQL knows."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass, field
from typing import Any

from replicator_service.cli.service_http import START_IT, ask_service, connection_error_text
from replicator_service.core.errors import Retryable

Json = dict[str, Any]

STOPPED = "stopped"
"""The state that no service can tell of itself: nobody holds the lease."""

_OURS = {"state", "stream", "meaning", "collections"}
"""What no other program's answer has."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where to look. Without ``may_fall_back`` only a service will do."""

    address: str
    may_fall_back: bool = True

    def status(self) -> Json:
        """The JSON of ``/status``, or one of the same form from PostgreSQL.

        Raises :class:`Retryable` when neither can be asked, :class:`ConfigurationError` for what is no address and for
        settings that do not lead to PostgreSQL.
        """
        try:
            found = _get(self.address, "/status")
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = f"no service answers at {self.address}: {connection_error_text(error)}"
        else:
            if found.keys() >= _OURS:
                return found
            reason = f"what answers at {self.address} is no replicator"
        if not self.may_fall_back:
            raise Retryable(reason, hint=START_IT)
        # Only when nobody answers: this takes a driver and all that a status is made of.
        from replicator_service.cli.stored import from_postgresql

        return from_postgresql(reason, START_IT)

    def history(self, since: int) -> Json:
        """The service's samples from number ``since`` on; nothing where there is no service, or an older one."""
        try:
            found = _get(self.address, f"/history?since={since}")
        except (OSError, http.client.HTTPException, ValueError):
            return {}
        return found if isinstance(found.get("series"), dict) else {}


@dataclass(slots=True)
class Recent:
    """The samples of the last minutes, kept up to date by asking for those that are new."""

    source: Source
    series: dict[str, list[float | None]] = field(default_factory=dict)
    next: int = 0
    began: object = None

    def update(self) -> None:
        """Ask for what is new. Another process begins anew."""
        found = self.source.history(self.next)
        if not found:
            return
        if found["began"] != self.began or found["first"] != self.next:
            if self.next and found["first"]:
                found = self.source.history(0) or found
            self.series, self.began = {}, found["began"]
        for name, values in found["series"].items():
            kept = self.series.setdefault(name, [])
            kept.extend(values)
            del kept[: -int(found["seconds"])]
        self.next = found["next"]


def _get(address: str, path: str) -> Json:
    """The JSON object at ``path``."""
    status, content = ask_service(address, path)
    found = json.loads(content)
    if status != http.HTTPStatus.OK or not isinstance(found, dict):
        raise ValueError("the answer is no JSON object")
    return found
