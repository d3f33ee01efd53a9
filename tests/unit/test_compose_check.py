"""`make compose-check` where there is no engine, and what its parts conclude from what programs answer."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.check.compose_file import is_valid, required, secrets_are_asked_for
from deploy.check.composition import Composition
from deploy.check.report import CheckFailedError, Report

ROOT = Path(__file__).parents[2]


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def report(out: io.StringIO) -> Report:
    return Report(out, clock=lambda: 0.0)


def composition(directory: Path, answer: str) -> Composition:
    """A composition of two secrets, read by a program that runs `answer` with the text of the env file."""
    file, values, program = directory / "compose.yml", directory / ".env-dev", directory / "compose.py"
    file.write_text("a: ${ONE:?set ONE in .env}\nb: ${TWO:?set TWO in .env}\n", encoding="utf-8")
    values.write_text("ONE=1\nTWO=2\n", encoding="utf-8")
    program.write_text(
        "import pathlib, sys\n"
        "text = pathlib.Path(sys.argv[sys.argv.index('--env-file') + 1]).read_text()\n"
        f"missing = [name for name in ('ONE', 'TWO') if name not in text]\n{answer}\n",
        encoding="utf-8",
    )
    return Composition((sys.executable, str(program)), (file,), values, "check", dict(os.environ))


def test_a_check_that_holds_is_one_line(report: Report, out: io.StringIO) -> None:
    assert report.check("the sky", lambda: "blue")
    assert out.getvalue() == "✔ the sky: blue (0.0 s)\n"
    assert report.exit_code == 0


def test_a_check_that_fails_tells_what_the_program_said_and_decides_the_exit_code(
    report: Report, out: io.StringIO
) -> None:
    def fail() -> str:
        raise CheckFailedError("it fell down", output="one\ntwo\n")

    assert not report.check("the sky", fail)
    assert out.getvalue() == "✘ the sky: it fell down\n    one\n    two\n"
    assert report.exit_code == 1


def test_what_could_not_be_checked_is_said_and_is_no_failure(report: Report, out: io.StringIO) -> None:
    report.not_checked("the sky", "it is night")
    report.summary()
    assert out.getvalue() == "· not checked: the sky: it is night\n\n0 checks, 0 failed; 1 could not be made here\n"
    assert report.exit_code == 0


def test_every_secret_is_left_out_in_turn(tmp_path: Path) -> None:
    made = composition(tmp_path, "sys.exit(f'set {missing[0]} in .env' if missing else 0)")
    assert required(made) == ["ONE", "TWO"]
    assert is_valid(made) == "with .env-dev as it is"
    assert secrets_are_asked_for(made) == "2 in turn"


def test_a_file_that_does_without_a_secret_is_refused(tmp_path: Path) -> None:
    made = composition(tmp_path, "sys.exit('set ONE in .env' if 'ONE' in missing else 0)")
    with pytest.raises(CheckFailedError, match="valid without TWO"):
        secrets_are_asked_for(made)


def test_a_message_that_names_another_secret_is_refused(tmp_path: Path) -> None:
    made = composition(tmp_path, "sys.exit('set ONE in .env' if missing else 0)")
    with pytest.raises(CheckFailedError, match="does not say that TWO is missing"):
        secrets_are_asked_for(made)


def test_a_variable_without_a_value_is_refused(tmp_path: Path) -> None:
    made = composition(tmp_path, "sys.stderr.write('The X variable is not set. Defaulting to a blank string.')")
    with pytest.raises(CheckFailedError, match="has no value"):
        is_valid(made)


def test_without_an_engine_it_says_so_and_succeeds(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "deploy.check"],
        cwd=ROOT,
        env={"PATH": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "not checked: docker-compose.yml: there is neither docker compose nor docker-compose here" in ended.stdout
    assert "not checked: the images and the running system: no container engine answers" in ended.stdout
