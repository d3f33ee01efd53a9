"""The page of metrics: names, kinds, labels and meanings, taken from an exposition of the service's own registry."""

from __future__ import annotations

import re

from deploy.release import version
from devstack.reference.markdown import code, filled, table
from devstack.reference.sample import SERVICE, STREAM, committed
from replicator_service.runtime.metrics.counters import ALL, Metrics


def page() -> str:
    """The whole page."""
    metrics = Metrics(version=version(), stream=STREAM)
    metrics.show(lambda: SERVICE)
    metrics.committed(committed())
    text = metrics.exposition().decode()
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    rows = [(code(name), kinds[name], _labels(name, text), meaning) for name, meaning in ALL.items()]
    shown = "".join(
        f"{line}\n" for line in text.splitlines() if line.startswith("replicator_") and "_bucket" not in line
    )
    return filled("metrics", {"metrics": table(("metric", "kind", "labels", "meaning"), rows), "exposition": shown})


def _labels(name: str, text: str) -> str:
    """The labels of the first sample; the bounds of a histogram's buckets are no label of it."""
    found = re.search(rf"^{name}(?:_count)?\{{(.*?)\}} ", text, re.MULTILINE)
    if found is None:
        raise LookupError(f"the sample has no {name}: add it to devstack/reference/sample.py")
    return ", ".join(code(label) for label in re.findall(r'(\w+)="', found[1]))
