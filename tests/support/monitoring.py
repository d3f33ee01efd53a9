"""The files that Prometheus and Grafana read, taken apart."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "deploy" / "monitoring"
GRAFANA = MONITORING / "grafana"
DASHBOARDS = sorted((GRAFANA / "dashboards").glob("*.json"))
RUNBOOKS = "docs/operations.md"

_METRIC = re.compile(r"\b(?:replicator|process)_[a-z0-9_]+")
_STATE = re.compile(r'replicator_state\{[^}]*state!?="([^"]+)"')
_PARTS_OF_HISTOGRAMS = re.compile(r"_(?:bucket|count|sum)$")

Json = dict[str, Any]


def read(path: Path) -> Any:
    """A YAML or JSON file."""
    text = path.read_text(encoding="utf-8")
    return json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)


def alerts() -> dict[str, Json]:
    """The rules by the name of their alert."""
    return {rule["alert"]: rule for group in read(MONITORING / "alerts.yml")["groups"] for rule in group["rules"]}


def queries(dashboard: Json) -> Iterator[tuple[str, Json]]:
    """Every query of a dashboard with the title of its panel."""
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target


def expressions(dashboard: Json) -> dict[str, str]:
    """The expressions for Prometheus by panel and letter, as Grafana sends them."""
    return {
        f"{title} {target['refId']}": target["expr"].replace("$__rate_interval", "1m").replace("$stream", "shop")
        for title, target in queries(dashboard)
        if "expr" in target
    }


def metrics_in(expression: str) -> set[str]:
    """The metrics that an expression asks for; parts of a histogram count as the whole."""
    return {_PARTS_OF_HISTOGRAMS.sub("", name) for name in _METRIC.findall(expression)}


def states_in(expression: str) -> set[str]:
    """The states of the service that an expression asks for."""
    return set(_STATE.findall(expression))
