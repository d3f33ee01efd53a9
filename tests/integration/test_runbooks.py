"""What the page for operators tells people to type at night exists."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from replicator_service.cli.application import application
from replicator_service.sink.connect.connection import connect
from replicator_service.sink.control.migrations import migrate
from tests.support.monitoring import ROOT, RUNBOOKS

if TYPE_CHECKING:
    from tests.support.databases import Sink

TYPED = re.findall(r"^\$ (.+)$", (ROOT / RUNBOOKS).read_text(encoding="utf-8"), re.MULTILINE)
COMMANDS = sorted({line.partition("  #")[0].strip() for line in TYPED if line.startswith("replicator ")})
STATEMENTS = sorted({shlex.split(line)[2] for line in TYPED if line.startswith("psql -c ")})


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_and_its_options_exist(line: str) -> None:
    words = line.split()[1:]
    options = [word for word in words if word.startswith("--")]
    names = [word for word in words if word.islower() and not word.startswith("--")]
    shown = CliRunner().invoke(application, [*names, "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0, shown.output
    assert f"replicator {' '.join(names)}" in shown.output
    assert set(options) <= set(shown.output.split())


def test_every_statement_has_an_answer(sink: Sink) -> None:
    assert len(STATEMENTS) >= 3
    with connect(sink.dsn, application_name="test") as connection:
        migrate(connection)
        for statement in STATEMENTS:
            connection.execute(statement.replace("PID", "0").encode())
