"""What the benchmark makes of its rounds: medians, verdicts, JSON, and the places in the documents."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from benchmarks import publish
from benchmarks.report import as_plain
from benchmarks.results import Bounds, Results, Run

if TYPE_CHECKING:
    from pathlib import Path

RUN = Run(2.0, 3.0, service_cpu=0.2, mongod_cpu=0.1, postgres_cpu=0.4, peak_bytes=2**20, path="compiled")


def measured() -> Results:
    """Three rounds."""
    results = Results()
    for value in (30.0, 10.0, 20.0):
        results.add("catch-up", "change stream drained, raw", value * 1_000, "events/s")
        results.rate("catch-up", "service, shop mapping", 20_000, RUN)
        results.add("latency at 500 writes/s", "p50, acknowledged → visible", value, "ms", Bounds(25, 15, at_most=True))
    return results


def test_a_row_is_the_median_of_its_rounds_with_the_range_and_the_costs_of_each_process() -> None:
    raw, service, latency = as_plain(measured(), {})["rows"]
    assert (raw["lowest"], raw["median"], raw["highest"]) == (10_000, 20_000, 30_000)
    assert service["cpu_us"] == pytest.approx({"service": 10, "mongod": 5, "postgres": 20})
    assert service["path"] == "compiled"
    assert latency["verdict"] == "must met"


@pytest.mark.parametrize(
    ("value", "at_most", "verdict"),
    [(1, True, "goal met"), (2, True, "must met"), (4, True, "not met"), (4, False, "goal met"), (1, False, "not met")],
)
def test_a_verdict_says_which_bound_is_met(value: float, at_most: bool, verdict: str) -> None:  # noqa: FBT001 - a parameter
    must, goal = (3, 1) if at_most else (2, 3)
    assert Bounds(must, goal, at_most=at_most).word(value) == verdict


def test_the_documents_get_the_numbers_of_a_run_and_keep_what_it_did_not_measure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    about = {"command": "make bench", "taken": "today", "processors": 2, "system": "here", "scale": 1.0, "rounds": 3}
    file = tmp_path / "results.json"
    file.write_text(json.dumps(as_plain(measured(), {**about, "load_average_at_the_end": 1})), encoding="utf-8")
    page = "\n".join(
        ["before", *(f"<!-- bench: {name} -->\nold {name}\n<!-- /bench -->" for name in publish.BLOCKS), "after\n"]
    )
    (tmp_path / "page.md").write_text(page, encoding="utf-8")
    monkeypatch.setattr(publish, "ROOT", tmp_path)
    monkeypatch.setattr(publish, "PICTURE", tmp_path / "pictures" / "bench.svg")
    monkeypatch.setattr(publish, "PAGES", ("page.md",))
    publish.main([str(file)])
    told = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert (
        "| latency at 500 writes/s: p50, acknowledged → visible | 20.0 ms | 10.0 … 30.0 | ≤ 25 | ≤ 15 | must met |"
        in told
    )
    assert "catches up at 10,000 changes a second" in told
    assert "`make bench`: today, 2 processors" in told
    assert told.startswith("before\n")
    assert told.endswith("after\n")
    assert "old peers" in told
    assert "old verdicts" not in told
    assert "left peers" in capsys.readouterr().out
    assert ET.parse(tmp_path / "pictures" / "bench.svg").getroot().tag.endswith("svg")  # noqa: S314 - our own file
    publish.main([str(file)])
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == told


def test_every_block_of_the_documents_is_known_and_every_kind_has_its_place() -> None:
    found = [
        block["name"]
        for name in publish.PAGES
        for block in publish._BLOCK.finditer((publish.ROOT / name).read_text(encoding="utf-8"))
    ]
    assert sorted(found) == sorted(publish.BLOCKS)
