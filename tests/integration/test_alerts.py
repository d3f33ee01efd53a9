"""What Prometheus and Grafana are given: valid, about metrics that exist, and every alert tested and explained."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from replicator_service.runtime.metrics.counters import ALL
from replicator_service.runtime.state.health import State
from tests.support.health import Surroundings
from tests.support.monitoring import (
    DASHBOARDS,
    GRAFANA,
    MONITORING,
    ROOT,
    RUNBOOKS,
    alerts,
    expressions,
    metrics_in,
    queries,
    read,
    states_in,
)
from tests.support.promtool import promtool

if TYPE_CHECKING:
    from pathlib import Path

WIDTH = 24
RUNBOOKS_IN_RUSSIAN = "docs/ru/runbooks.md"
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
DASHBOARD = pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)


def process_metrics() -> set[str]:
    """What the process itself is measured by."""
    families = text_string_to_metric_families(Surroundings().metrics.exposition().decode())
    return {sample.name for family in families for sample in family.samples if sample.name.startswith("process_")}


def runbooks() -> str:
    """The runbooks' part of the page for operators."""
    text = (ROOT / RUNBOOKS).read_text(encoding="utf-8")
    _, found, part = text.partition("\n## Runbooks\n")
    assert found
    return part.partition("\n## ")[0]


@pytest.mark.parametrize("arguments", [("check", "config", "prometheus.yml"), ("test", "rules", "alerts_test.yml")])
def test_prometheus_accepts_its_files_and_the_rules_do_as_their_tests_say(arguments: tuple[str, str, str]) -> None:
    kind, what, name = arguments
    done = promtool(kind, what, str(MONITORING / name))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", alerts())
def test_every_alert_says_what_it_is_and_where_to_read_on(name: str) -> None:
    rule = alerts()[name]
    assert rule["labels"]["severity"] in {"critical", "warning"}
    notes = rule["annotations"]
    assert set(notes) == {"summary", "description", "runbook_url"}
    where = f"{{{{ with $externalLabels.runbooks }}}}{{{{ . }}}}{{{{ else }}}}{RUNBOOKS}{{{{ end }}}}"
    assert notes["runbook_url"] == f"{where}#{name.lower()}"
    assert f"\n### {name}\n" in runbooks()


def test_every_runbook_belongs_to_an_alert() -> None:
    assert re.findall(r"^### (.+)$", runbooks(), re.MULTILINE) == list(alerts())


def sections(text: str) -> dict[str, str]:
    """The sections of a page of runbooks by their alerts."""
    first, *others = re.split(r"^### (.+)\n", text, flags=re.MULTILINE)
    assert first
    return dict(zip(others[::2], others[1::2], strict=True))


def test_every_alert_has_its_runbook_in_russian_with_the_same_commands() -> None:
    english, russian = sections(runbooks()), sections((ROOT / RUNBOOKS_IN_RUSSIAN).read_text(encoding="utf-8"))
    assert list(russian) == list(alerts())
    for name, section in russian.items():
        assert len(re.findall(r"[\u0430-\u0451]{3,}", section)) > 10, f"{name} is not in Russian"
        assert FENCED.findall(section) == FENCED.findall(english[name]), name


@pytest.mark.parametrize("name", alerts())
def test_every_alert_is_tested_to_speak_and_to_be_silent(name: str) -> None:
    outcomes = {
        bool(check["exp_alerts"])
        for test in read(MONITORING / "alerts_test.yml")["tests"]
        for check in test["alert_rule_test"]
        if check["alertname"] == name
    }
    assert outcomes == {True, False}


@pytest.mark.parametrize("name", alerts())
def test_alerts_ask_for_metrics_and_states_that_exist(name: str) -> None:
    expression = alerts()[name]["expr"]
    assert metrics_in(expression) <= {*ALL, *process_metrics()}
    assert states_in(expression) <= set(State)


@DASHBOARD
def test_dashboards_ask_for_metrics_and_states_that_exist(path: Path) -> None:
    for title, expression in expressions(read(path)).items():
        assert metrics_in(expression) <= {*ALL, *process_metrics()}, title
        assert states_in(expression) <= set(State), title


@DASHBOARD
def test_prometheus_understands_every_query_of_a_dashboard(path: Path, tmp_path: Path) -> None:
    rules = [
        {"record": f"query:{number}", "expr": expression}
        for number, expression in enumerate(expressions(read(path)).values())
    ]
    assert rules
    asked = tmp_path / "queries.yml"
    asked.write_text(yaml.safe_dump({"groups": [{"name": path.stem, "rules": rules}]}))
    done = promtool("check", "rules", "--lint=none", str(asked))
    assert done.returncode == 0, done.stdout + done.stderr


@DASHBOARD
def test_panels_have_numbers_of_their_own_and_do_not_cover_each_other(path: Path) -> None:
    panels = read(path)["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= WIDTH, panel["title"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


@DASHBOARD
def test_queries_go_to_data_sources_that_are_provisioned(path: Path) -> None:
    provisioned = read(GRAFANA / "provisioning" / "datasources" / "datasources.yml")["datasources"]
    sources = {(source["uid"], source["type"]) for source in provisioned}
    used = {(target["datasource"]["uid"], target["datasource"]["type"]) for _, target in queries(read(path))}
    assert used <= sources


def test_dashboards_have_addresses_of_their_own_and_links_lead_to_one() -> None:
    found = [read(path) for path in DASHBOARDS]
    addresses = {f"/d/{dashboard['uid']}" for dashboard in found}
    assert len(addresses) == len(found) == 2
    assert {link["url"] for dashboard in found for link in dashboard["links"]} <= addresses


def test_no_secret_is_in_the_provisioned_data_sources() -> None:
    for source in read(GRAFANA / "provisioning" / "datasources" / "datasources.yml")["datasources"]:
        assert all(value.startswith("$") for value in source.get("secureJsonData", {}).values()), source["name"]
