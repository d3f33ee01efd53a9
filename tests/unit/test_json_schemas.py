"""What commands print as JSON is described for programs, and tests hold what they really print to that."""

from __future__ import annotations

import json
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from replicator_service.cli.application import application
from tests.support.json_schemas import SCHEMA, undescribed

ROOT_COMMAND = typer.main.get_command(application)
CONTINUOUS = {"run"}
"""Its lines of the log are JSON, not one answer."""


def commands(group: Any, above: tuple[str, ...] = ()) -> dict[str, Any]:
    if not hasattr(group, "list_commands"):
        return {" ".join(above): group}
    context = typer.Context(group)
    found: dict[str, Any] = {}
    for name in group.list_commands(context):
        below = group.get_command(context, name)
        found |= commands(below, (*above, name))
    return found


def test_every_command_that_prints_json_is_described() -> None:
    with_json = {
        name
        for name, command in commands(ROOT_COMMAND).items()
        if any("--json" in each.opts for each in command.params) and name not in CONTINUOUS
    }
    assert len(with_json) >= 18
    assert with_json <= SCHEMA["$defs"].keys()
    assert SCHEMA["$defs"].keys() - with_json == {"time", "error"}


@pytest.mark.parametrize("words", [["config", "show"], ["check"], ["pause"], ["dead-letters", "list"]])
def test_without_settings_commands_answer_as_described(words: list[str]) -> None:
    answer = json.loads(CliRunner().invoke(application, [*words, "--json"]).stdout)
    assert undescribed(words, answer) == []


def test_what_is_not_described_is_found() -> None:
    assert undescribed(["mapping", "ddl", "f.yml"], {"schema": "s"})
    assert undescribed(["health"], {"ok": True, "probe": "livez", "address": "a", "conditions": [], "more": 1})
    assert undescribed(
        ["erase"], {"receipt": 1, "collection": "c", "cluster_time": 1, "at": "yesterday", "erased": {}, "kept": []}
    )
