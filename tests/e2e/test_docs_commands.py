"""Every command of the README and the tutorial does what they say, in their order, on real servers.

What cannot be run here stands in :data:`ELSEWHERE`, with the test that runs it. A command that does not exist, fails
or does not print what the page promises fails the test.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from devstack.ports import free_port
from devstack.process import remove_directory, temporary_directory
from tests.support.doc_blocks import ROOT, Block, blocks, commands

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.support.databases import Sink, Source

TUTORIAL = ROOT / "docs" / "tutorial.md"
READMES = (ROOT / "README.md", ROOT / "README.ru.md")
SECONDS = 150

ELSEWHERE = {
    "make demo": "tests/e2e/test_demo_command.py::test_the_demo_ends_with_the_proof",
    "make demo-check": "tests/e2e/test_demo_command.py::test_the_demo_ends_with_the_proof",
    "make test": "tests/e2e/test_docs_commands.py::test_targets_of_make_do_what_the_pages_say",
    "make test-unit": "tests/e2e/test_docs_commands.py::test_targets_of_make_do_what_the_pages_say",
    "make install": "tests/e2e/test_docs_commands.py::test_targets_of_make_do_what_the_pages_say",
    # A container engine is not to be had everywhere: `make compose-check` starts the file where there is one.
    "docker compose up --detach": "tests/unit/test_compose_file.py::test_every_service_is_bounded_and_starts_in_order",
}
"""Commands that this test replaces by nothing, with the test that has them run."""

RECIPES = {
    "demo": "python -m devstack.demo",
    "demo-check": "python -m devstack.demo --check",
    "test": "pytest",
    "test-unit": "pytest",
    "install": "",
}
"""What the targets of the pages come down to."""

# A command that runs until Ctrl-C is run until it works, and then asked to end.
PROLOGUE = """
set -eo pipefail
lasting() {
    env "$@" &
    local program=$!
    until replicator status | grep -q streaming; do kill -0 $program; sleep 0.2; done
    kill -TERM $program
    wait $program
}
"""
LASTING = re.compile(r"^((?:[A-Z_]+=\S+ )*replicator run)$")


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that looks like the repository to the commands, and holds what they make."""
    path = temporary_directory()
    for name in ("mappings", "sql"):
        (path / name).symlink_to(ROOT / name)
    (path / ".venv").symlink_to(sys.prefix)
    # Commands change these.
    shutil.copy(ROOT / ".env-dev", path)
    shutil.copytree(ROOT / "airflow" / "dags", path / "airflow" / "dags")
    yield path
    down = [str(Path(sys.executable).with_name("devstack")), "down"]
    subprocess.run(down, cwd=path, capture_output=True, timeout=60, check=False)
    remove_directory(path)


def script(found: list[Block], values: Mapping[str, str]) -> str:
    """One program of all blocks; ``values`` take the place of what the page exports as an example."""
    lines = [PROLOGUE]
    for block in found:
        lines.append(f"echo '@@ {block.line}'")
        lines += [_line(line, values) for line in block.text.splitlines()]
    return "\n".join(lines) + "\n"


def _line(line: str, values: Mapping[str, str]) -> str:
    command = line.partition("  #")[0].rstrip()
    if command in ELSEWHERE:
        return ":"
    if export := re.match(r"export (\w+)=", command):
        return f"export {export[1]}='{values[export[1]]}'" if export[1] in values else command
    return LASTING.sub(r"lasting \1", command) if LASTING.match(command) else line


def run(found: list[Block], place: Path, values: Mapping[str, str]) -> dict[int, str]:
    """What each block printed, by its line; fails with all of it when a command does."""
    log = place / "output"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("REPLICATOR_", "WAREHOUSE_"))}
    with log.open("wb") as output:
        shell = subprocess.Popen(
            ["/bin/bash", "-c", script(found, values)],
            cwd=place,
            env={**kept, "REPLICATOR_HTTP_PORT": str(free_port()), "COLUMNS": "160"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    code: int | None = None
    with suppress(subprocess.TimeoutExpired):
        code = shell.wait(timeout=SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(shell.pid, signal.SIGKILL)
    shell.wait()
    text = log.read_text(encoding="utf-8")
    assert code == 0, f"exit code {code}\n{text}"
    parts = re.split(r"^@@ (\d+)\n", text, flags=re.MULTILINE)[1:]
    return dict(zip(map(int, parts[::2]), parts[1::2], strict=True))


def assert_promises(found: list[Block], printed: Mapping[int, str]) -> None:
    for block in found:
        for words in block.shows:
            assert words in printed[block.line], f"{block.place} should show {words!r}:\n{printed[block.line]}"


@pytest.mark.timeout(SECONDS + 70)
def test_the_tutorial_can_be_followed(place: Path) -> None:
    found = [block for block in blocks(TUTORIAL) if block.language == "sh"]
    printed = run(found, place, {})
    assert_promises(found, printed)


@pytest.mark.timeout(SECONDS + 70)
@pytest.mark.parametrize("page", READMES, ids=lambda page: page.name)
def test_the_commands_of_the_readme_work(page: Path, place: Path, source: Source, sink: Sink) -> None:
    source.db.things.insert_one({"name": "a thing", "parts": [{"number": 1}]})
    found = [block for block in blocks(page) if block.language == "sh"]
    values = {
        "REPLICATOR_MONGO_URI": source.uri.replace("/?", f"/{source.name}?"),
        "REPLICATOR_POSTGRES_DSN": sink.dsn,
    }
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    prologue = Block(page, 0, "sh", f"export PATH='{path}'\n", ())
    assert_promises(found, run([prologue, *found], place, values))


def test_what_is_run_elsewhere_is_run_there() -> None:
    for command, test in ELSEWHERE.items():
        path, _, name = test.partition("::")
        assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8"), f"{command}: there is no {test}"


def test_targets_of_make_do_what_the_pages_say() -> None:
    shown = {
        command.removeprefix("make ")
        for page in (TUTORIAL, *READMES)
        for block in blocks(page)
        for command in commands(block)
        if command.startswith("make ")
    }
    assert shown <= RECIPES.keys()
    for target, recipe in RECIPES.items():
        # The virtual environment that runs this is taken as made: nothing is installed here.
        planned = subprocess.run(
            ["/usr/bin/env", "make", "--dry-run", "--assume-old=.venv/.installed", target],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert recipe in planned.replace(".venv/bin/", ""), f"make {target} runs {planned!r}"
