"""The plugin as Airflow loads it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.dag_runs import ROOT

if TYPE_CHECKING:
    from tests.support.dag_runs import AirflowHome

PROGRAM = """
import json
from airflow import plugins_manager
from airflow.api_fastapi.core_api.datamodels.plugins import ExternalViewResponse
plugins, errors = plugins_manager._get_plugins()
views = [view for each in plugins if each.name == "replication_page" for view in each.external_views]
told = {
    "errors": errors,
    "names": [each.name for each in plugins],
    "views": [ExternalViewResponse(**view).model_dump() for view in views],
}
print("\\n" + json.dumps(told))
"""


def loaded(home: AirflowHome, **variables: str) -> dict[str, Any]:
    folder = {"AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "airflow" / "plugins"), "REPLICATOR_PAGE_URL": ""}
    ended = home.python(["-c", PROGRAM], folder | variables)
    assert ended.returncode == 0, ended.stdout[-3000:]
    told: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return told


def test_the_page_of_the_replication_is_in_the_navigation(airflow_home: AirflowHome) -> None:
    told = loaded(airflow_home, REPLICATOR_PAGE_URL="http://127.0.0.1:8081/")
    assert told["errors"] == {}
    (view,) = told["views"]
    assert (view["name"], view["href"]) == ("Replication", "http://127.0.0.1:8081/")
    assert (view["destination"], view["nav_top_level"]) == ("nav", True)
    assert view["url_route"] == "replication"


@pytest.mark.parametrize("address", ["", "javascript:alert(1)", "the page"])
def test_without_an_address_there_is_no_link_and_no_error(airflow_home: AirflowHome, address: str) -> None:
    told = loaded(airflow_home, REPLICATOR_PAGE_URL=address)
    assert told["errors"] == {}
    assert "replication_page" in told["names"]
    assert told["views"] == []
