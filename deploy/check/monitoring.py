"""Prometheus as the profile ``monitoring`` runs it: it reads its files and reaches the service."""

from __future__ import annotations

import http.client
import json
import time
from typing import TYPE_CHECKING, Any

from deploy.check.report import CheckFailedError
from devstack.ports import LOOPBACK

if TYPE_CHECKING:
    from deploy.check.composition import Composition

_SECONDS = 60.0
_POLL_SECONDS = 1.0


def scrapes(composition: Composition, port: int) -> str:
    """The service's metrics arrive, and every rule can be computed; no rule fires for a service that is well."""
    composition.up("prometheus")
    deadline = time.monotonic() + _SECONDS
    while problem := _problem(port):
        if time.monotonic() > deadline:
            raise CheckFailedError(problem, output=composition.log("prometheus"))
        time.sleep(_POLL_SECONDS)
    rules = _rules(port)
    firing = sorted({rule["name"] for rule in rules if rule["state"] == "firing"})
    if firing:
        raise CheckFailedError(f"alerts for a service that is well: {', '.join(firing)}")
    return f"{len(rules)} rules computed, none fires"


def _problem(port: int) -> str:
    """What is not as it should be, or nothing."""
    try:
        targets = {each["labels"]["job"]: each["health"] for each in _ask(port, "targets")["activeTargets"]}
        rules = _rules(port)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"Prometheus does not answer: {type(error).__name__}"
    if targets.get("replicator") != "up":
        return f"the service is {targets.get('replicator', 'no target')} to Prometheus"
    if not rules or any(rule["health"] != "ok" for rule in rules):
        return f"rules that cannot be computed: {', '.join(rule['name'] for rule in rules if rule['health'] != 'ok')}"
    return ""


def _rules(port: int) -> list[dict[str, Any]]:
    return [rule for group in _ask(port, "rules")["groups"] for rule in group["rules"]]


def _ask(port: int, question: str) -> Any:  # noqa: ANN401 - JSON
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=5)
    try:
        connection.request("GET", f"/api/v1/{question}")
        return json.loads(connection.getresponse().read())["data"]
    finally:
        connection.close()
