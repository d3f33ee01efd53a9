"""`replicator status --watch` as people and programs meet it: a screen in a terminal, plain lines elsewhere."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.processes import Operator
from tests.support.terminal import (
    CTRL_C,
    ENTERS_OWN_SCREEN,
    HIDES_CURSOR,
    LEAVES_OWN_SCREEN,
    SHOWS_CURSOR,
    terminal,
)
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.databases import Sink, Source
    from tests.support.processes import RunningService

COMMAND = (sys.executable, "-c", "from replicator_service.cli import main; main()", "status", "--watch")


@pytest.fixture
def operator(source: Source, sink: Sink, tmp_path: Path) -> Operator:
    return Operator(
        {
            "REPLICATOR_MONGO_URI": source.uri,
            "REPLICATOR_MONGO_DATABASE": source.name,
            "REPLICATOR_POSTGRES_DSN": sink.dsn,
        },
        tmp_path,
    )


@pytest.fixture
def service(operator: Operator, source: Source) -> Iterator[RunningService]:
    for number in range(30):
        source.db[f"part_{number:02}"].insert_one({"_id": 1})
    with operator.running() as running:
        running.wait_for_state("streaming")
        wait_until(lambda: len(running.status()["collections"]) == 30, message="the collections")
        yield running


def port_of(service: RunningService) -> dict[str, str]:
    return {"REPLICATOR_HTTP_PORT": service.url.rstrip("/").rpartition(":")[2]}


def test_a_terminal_shows_a_screen_that_fits_and_ctrl_c_puts_it_back(
    service: RunningService, source: Source, operator: Operator
) -> None:
    with terminal([*COMMAND, "--interval", "0.2"], operator.environ | port_of(service), columns=80, rows=24) as seen:
        lines = seen.screen_with("more, all of them with --json")
        assert len(lines) <= 24
        assert max(map(len, lines)) <= 80
        text = "\n".join(lines)
        assert source.name in lines[0]
        assert "● streaming" in lines[0]
        assert "part_00" in text
        assert "Ctrl-C leaves" in text
        seen.press(CTRL_C)
        assert seen.wait() == 0
        drawn = seen.read()
        assert drawn.count(ENTERS_OWN_SCREEN) == drawn.count(LEAVES_OWN_SCREEN) == 1
        assert drawn.rfind(SHOWS_CURSOR) > drawn.rfind(HIDES_CURSOR)
        assert b"Traceback" not in drawn


def test_a_screen_lives_on_when_the_service_ends_and_sigterm_puts_the_terminal_back(
    service: RunningService, operator: Operator
) -> None:
    with terminal([*COMMAND, "--interval", "0.2"], operator.environ | port_of(service), columns=100, rows=40) as seen:
        seen.screen_with("● streaming")
        assert service.end(signal.SIGTERM) == 0
        text = "\n".join(seen.screen_with("● stopped"))
        assert "this is what PostgreSQL knows" in " ".join(text.split())
        os.kill(seen.pid, signal.SIGTERM)
        assert seen.wait() == 0
        assert seen.read().endswith(SHOWS_CURSOR) or SHOWS_CURSOR in seen.read()[-40:]


@pytest.mark.parametrize("arguments", [(), ("--json",)], ids=["text", "json"])
def test_elsewhere_there_is_a_plain_line_for_each_look(
    service: RunningService, source: Source, operator: Operator, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    taken = tmp_path / "taken"
    with taken.open("wb") as output:
        process = subprocess.Popen(
            [*COMMAND, "--interval", "0.2", *arguments],
            env={**os.environ, **operator.environ, **port_of(service), "TERM": "xterm-256color"},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(lambda: taken.read_bytes().count(b"\n") >= 3, timeout=30, message="three lines")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
    lines = taken.read_bytes().decode().splitlines()
    assert b"\x1b" not in taken.read_bytes()
    if arguments:
        assert {json.loads(line)["stream"] for line in lines} == {source.name}
    else:
        assert all(f"{source.name} streaming, lag" in line for line in lines)


def test_a_service_that_cannot_be_asked_is_one_line_with_cause_and_fix(operator: Operator) -> None:
    done = operator.replicator("status", "--watch", "--url", "http://127.0.0.1:9/")
    assert done.exit_code == 3
    assert done.stderr.splitlines()[0].startswith("error: no service answers at http://127.0.0.1:9/")
    assert "--url" in done.stderr.splitlines()[1]


def test_without_service_and_postgresql_both_are_named(operator: Operator) -> None:
    done = operator.replicator(
        "status", REPLICATOR_HTTP_PORT="9", REPLICATOR_POSTGRES_DSN="postgresql://u:secret@127.0.0.1:9/d"
    )
    assert done.exit_code == 3
    first = done.stderr.splitlines()[0]
    assert "no service answers at http://127.0.0.1:9/" in first
    assert "PostgreSQL cannot be" in first
    assert "secret" not in done.stderr


def test_what_is_no_address_is_said(operator: Operator) -> None:
    done = operator.replicator("status", "--url", "http://host:port/")
    assert done.exit_code == 2
    assert "is no address" in done.stderr
