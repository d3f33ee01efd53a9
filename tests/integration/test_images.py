"""What the images are built from: the wheel has everything that the programs need without a checkout.

The images themselves are built and run by `make compose-check`, which needs a container engine.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from devstack.wheels import requirement
from tests.support.compiled import native_or_skip

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).parents[2]
DOCKERFILES = ("replicator_service/Dockerfile", "airflow/Dockerfile")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without a network."""
    directory = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--wheel-dir", directory, ROOT], check=True, timeout=300)
    (built,) = directory.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel alone; its requirements come from this environment's packages."""
    environment = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True, timeout=60)
    python = environment / "bin" / "python"
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*command, wheel], check=True, timeout=60)
    (packages,) = (environment / "lib").glob("python*/site-packages")
    # Without the checkout: a path is appended, the editable installation's own entry is not read from there.
    (packages / "requirements.pth").write_text(
        "\n".join(path for path in sys.path if path.endswith("site-packages")) + "\n", encoding="utf-8"
    )
    return environment


def ran(environment: Path, program: str, *arguments: str) -> str:
    command = [str(environment / "bin" / program), *arguments]
    variables = {"PATH": os.environ["PATH"], "HOME": str(environment), "COLUMNS": "200"}
    ended = subprocess.run(
        command, cwd=environment, env=variables, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def names_below(wheel: Path, folder: str) -> set[str]:
    return {name.removeprefix(folder) for name in zipfile.ZipFile(wheel).namelist() if name.startswith(folder)}


def files_below(folder: Path) -> Iterable[str]:
    return (path.name for path in folder.iterdir() if path.is_file())


def test_the_wheel_has_the_sql_of_the_checkout(wheel: Path) -> None:
    assert names_below(wheel, "replicator_service/sql/replicator/") == set(files_below(ROOT / "sql/replicator"))
    assert names_below(wheel, "warehouse_jobs/sql/marts/") == set(files_below(ROOT / "sql/marts"))


def test_the_wheel_has_nothing_but_the_two_packages(wheel: Path) -> None:
    top = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} == {"replicator_service", "warehouse_jobs"}


def test_the_wheel_has_only_programs_whose_files_it_has(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (entry_points,) = (name for name in archive.namelist() if name.endswith("/entry_points.txt"))
        programs = re.findall(r"^(\w+) = (\w+)", archive.read(entry_points).decode(), re.MULTILINE)
        packages = {name.split("/")[0] for name in archive.namelist()}
        assert not [name for name in archive.namelist() if "/scripts/" in name]
    assert dict(programs).keys() == {"replicator", "warehouse"}
    assert set(dict(programs).values()) <= packages

    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel:editable", "--directory", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
    (editable,) = tmp_path.glob("*.whl")
    assert [name.rpartition("/")[2] for name in zipfile.ZipFile(editable).namelist() if "/scripts/" in name] == [
        "devstack"
    ]


def test_the_installed_service_runs_without_a_checkout(installed: Path) -> None:
    assert ran(installed, "replicator", "--version").startswith("replicator ")
    ddl = ran(installed, "replicator", "mapping", "ddl", str(ROOT / "mappings/shop.yml"), "--database", "origin")
    assert "user_sessions" in ddl
    schema = ran(installed, "replicator", "mapping", "schema")
    assert schema == (ROOT / "mappings" / "mapping.schema.json").read_text(encoding="utf-8")


def test_the_installed_packages_find_their_own_sql(installed: Path) -> None:
    program = """
import replicator_service, warehouse_jobs
from replicator_service.sink.control.migrations import read_migrations, sql_folder
from warehouse_jobs.marts import DEFAULT_DIRECTORY, mart_names
print(replicator_service.__file__, sql_folder(), DEFAULT_DIRECTORY, len(read_migrations()), *mart_names(), sep="\\n")
"""
    package, sql, marts, count, *names = ran(installed, "python", "-c", program).splitlines()
    assert all(path.startswith(str(installed)) for path in (package, sql, marts))
    assert int(count) >= 1
    assert names == ["support_efficiency", "user_activity"]


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_base_images_are_pinned_and_can_be_replaced(dockerfile: str) -> None:
    text = (ROOT / dockerfile).read_text(encoding="utf-8")
    pinned = re.findall(r"^ARG (\w+_IMAGE)=\S+:\d+\.\d+\.\d+-\S+$", text, re.MULTILINE)
    assert len(pinned) == 1
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {f"${{{pinned[0]}}}"}


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_everything_that_is_copied_passes_the_ignore_file(dockerfile: str) -> None:
    allowed = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line.startswith("!")
    }
    copies = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / dockerfile).read_text(encoding="utf-8"), re.MULTILINE)
    sources = [source for line in copies for source in line.split()]
    assert sources
    for source in sources:
        assert any(source == name or source.startswith(f"{name}/") for name in allowed), source
        assert list(ROOT.glob(source)), source


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_the_wheel_can_be_built_from_what_is_copied(dockerfile: str, tmp_path: Path) -> None:
    build, _, _ = (ROOT / dockerfile).read_text(encoding="utf-8").partition("hatchling build")
    for line in re.findall(r"^COPY (.+)$", build, re.MULTILINE):
        *sources, target = line.split()
        for source in sources:
            into = tmp_path / target.removeprefix("/source").lstrip("/")
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, into, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
            else:
                into.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / source, into)
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", "dist"]
    # Compiled or not is another test's matter, and takes half a minute.
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "CC": "none"}, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = (tmp_path / "dist").glob("*.whl")
    assert names_below(built, "replicator_service/mappings/") == {"mapping.schema.json"}
    assert "page.js" in names_below(built, "replicator_service/runtime/http/web/")


def test_the_images_have_the_airflow_that_the_tests_run_with() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (wanted,) = (each for each in project["optional-dependencies"]["airflow"] if each.startswith("apache-airflow=="))
    version = wanted.split("==")[1]
    assert f"AIRFLOW_IMAGE=apache/airflow:{version}-" in (ROOT / "airflow/Dockerfile").read_text(encoding="utf-8")
    stand_in = (ROOT / "deploy/check/bases/airflow.Dockerfile").read_text(encoding="utf-8")
    assert f"AIRFLOW_VERSION={version}\n" in stand_in


@pytest.mark.parametrize("name", ["pymongo", "starlette", "psycopg", "tenacity"])
def test_the_images_have_the_versions_that_the_tests_run_with(name: str) -> None:
    pinned = {requirement(name, ROOT / "requirements" / f"{file}.txt") for file in ("dev", "service", "airflow")}
    assert len({line.split()[0] for line in pinned}) == 1


def test_only_what_is_missing_is_added_to_airflow(capsys: pytest.CaptureFixture[str]) -> None:
    specification = importlib.util.spec_from_file_location("missing", ROOT / "airflow" / "missing_requirements.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    text = """
# a comment
pytest==0.0.1 \\
    --hash=sha256:aa
no-such-package==1.2 ; python_version > '3' \\
    --hash=sha256:bb \\
    --hash=sha256:cc
    # via somebody
no-such-other==1.0 ; sys_platform == 'win32' \\
    --hash=sha256:dd
"""
    found = module.missing(text)
    assert found == "no-such-package==1.2 ; python_version > '3' --hash=sha256:bb --hash=sha256:cc\n"
    assert re.fullmatch(r"kept pytest \S+; tests run with ==0\.0\.1\n", capsys.readouterr().err)


def test_the_installed_service_has_the_compiled_path(installed: Path) -> None:
    native_or_skip()
    program = "from replicator_service.core.compiled import path_told; print(path_told())"
    assert ran(installed, "python", "-c", program).strip() == "compiled: made from these sources"
