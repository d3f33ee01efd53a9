"""Which path runs: chosen by the setting, by what is there, and by what it was made from."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from replicator_service.core import compiled
from replicator_service.core.compiled import choose
from replicator_service.core.compiled.build import compile_all
from replicator_service.core.compiled.sources import sources_digest, write_made
from replicator_service.core.errors import ConfigurationError
from tests.support.compiled import native_or_skip
from tests.support.processes import Operator

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Path]:
    """The package somewhere else, with what is compiled."""
    shutil.copytree(ROOT / "replicator_service", tmp_path / "replicator_service")
    yield tmp_path
    shutil.rmtree(tmp_path / "replicator_service")


def told_in(folder: Path, setting: str | None = "auto", **variables: str) -> str:
    """What a new process says that finds the package in this folder."""
    program = "from replicator_service.core.compiled import path_told; print(path_told())"
    environ = {"PYTHONPATH": str(folder), **variables}
    if setting is not None:
        environ["REPLICATOR_COMPILED"] = setting
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=environ, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def compiled_files(folder: Path) -> list[Path]:
    """The compiled files of a copy."""
    return sorted((folder / "replicator_service/core/compiled").glob("*.so"))


def test_off_leaves_everything_to_python() -> None:
    assert choose("off").native is None


def test_an_unknown_setting_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match="REPLICATOR_COMPILED is not auto, on or off"):
        choose("yes")


def test_without_a_setting_what_is_compiled_is_used(copy: Path) -> None:
    native_or_skip()
    assert told_in(copy, None) == "compiled: made from these sources"
    assert told_in(copy, "") == "compiled: made from these sources"


def test_a_setting_in_a_file_holds(copy: Path) -> None:
    (copy / "setting").write_text("off\n", encoding="utf-8")
    assert told_in(copy, None, REPLICATOR_COMPILED_FILE="setting") == "Python: off by REPLICATOR_COMPILED"


def test_who_insists_on_the_compiled_path_is_refused_without_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compiled, "why_not", lambda _: "none")
    with pytest.raises(ConfigurationError, match="REPLICATOR_COMPILED is on, and there is no compiled path"):
        choose("on")


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_command_that_needs_the_compiled_path_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str
) -> None:
    monkeypatch.setattr(compiled, "why_not", lambda _: "none")
    nowhere = {
        "REPLICATOR_MONGO_URI": "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100",
        "REPLICATOR_MONGO_DATABASE": "d",
        "REPLICATOR_POSTGRES_DSN": "host=127.0.0.1 port=1",
        "REPLICATOR_COMPILED": "on",
    }
    compiled.chosen.cache_clear()
    try:
        done = Operator(nowhere, tmp_path).replicator(command)
    finally:
        compiled.chosen.cache_clear()
    assert done.exit_code == 2, done.output
    assert "there is no compiled path: none" in done.output
    assert "python -m replicator_service.core.compiled.build" in done.output


def test_who_insists_on_the_compiled_path_gets_it() -> None:
    assert choose("on").native == native_or_skip()


def test_what_was_compiled_from_these_sources_is_used(copy: Path) -> None:
    native_or_skip()
    assert told_in(copy) == "compiled: made from these sources"
    assert told_in(copy, "off") == "Python: off by REPLICATOR_COMPILED"


@pytest.mark.parametrize("source", ["compiled/json.pxd", "codec/extjson.py", "transform/source.py"])
def test_a_compiled_file_from_other_sources_is_not_used(copy: Path, source: str) -> None:
    native_or_skip()
    changed = copy / "replicator_service/core" / source
    changed.write_text(changed.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert told_in(copy) == "Python: what is compiled was made from other sources"


def test_a_compiled_file_that_does_not_load_is_not_used(copy: Path) -> None:
    native_or_skip()
    for path in compiled_files(copy):
        path.write_bytes(b"no library")
    write_made(copy / "replicator_service/core/compiled", compiled.MODULES)
    assert told_in(copy) == "Python: what is compiled does not load (ImportError)"


def test_a_compiled_file_that_is_cut_off_is_not_loaded(copy: Path) -> None:
    """Loading it would end the process."""
    native_or_skip()
    for path in compiled_files(copy):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert told_in(copy) == "Python: what is compiled is damaged"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"sources": 1, "files": []}'])
def test_what_is_said_of_compiled_files_may_be_broken(copy: Path, content: str) -> None:
    native_or_skip()
    for path in (copy / "replicator_service/core/compiled").glob("made*"):
        path.write_text(content, encoding="utf-8")
    assert told_in(copy).startswith("Python: what is compiled ")


def test_a_compiled_file_of_which_nothing_is_said_is_not_used(copy: Path) -> None:
    for path in (copy / "replicator_service/core/compiled").glob("made*"):
        path.unlink()
    assert told_in(copy) == "Python: nothing is compiled"


def test_without_a_compiled_file_python_does_the_work(copy: Path) -> None:
    for path in compiled_files(copy):
        path.unlink()
    assert told_in(copy) == "Python: nothing is compiled"


def test_without_a_compiler_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "/no/such/compiler")
    problem = compile_all(tmp_path)
    assert problem is not None
    assert list(tmp_path.iterdir()) == []


def test_a_compiler_that_fails_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "false")
    problem = compile_all(tmp_path)
    assert problem is not None
    assert "\n" not in problem
    assert list(tmp_path.iterdir()) == []


def test_every_compiled_source_is_in_the_digest(copy: Path) -> None:
    core = copy / "replicator_service/core"
    assert sources_digest(core) == sources_digest()
    for path in sorted((core / "compiled").glob("*.p[yx][xd]")):
        before = sources_digest(core)
        path.write_bytes(path.read_bytes() + b"\n")
        assert sources_digest(core) != before
    assert compiled.MODULES == ("scan", "rows", "masks")
