"""Base images made here, where the published ones cannot be pulled: Debian by debootstrap, the rest as ``bases/`` says.

They hold the same programs as the published images: mongod and PostgreSQL of the tests' wheels, the real MongoDB shell,
Airflow as a Python package. What they cannot tell is how the published images differ from them.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.check.commands import ran, succeeded
from deploy.check.report import CheckFailedError
from devstack.binaries import find_mongod, find_postgres
from devstack.errors import DevstackError
from devstack.mongosh import find_mongosh

if TYPE_CHECKING:
    from deploy.check.engine import Engine

PREFIX = "mongo-pg-replicator-check"
_RELEASE = "bookworm"
_DEBIAN = f"{PREFIX}/debian:{_RELEASE}"
_BASES = Path(__file__).parent / "bases"
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_DEBOOTSTRAP_SECONDS = 300
_IMPORT_SECONDS = 120


@dataclass(frozen=True, slots=True)
class BaseImages:
    """What our images and the composition build on."""

    python: str
    airflow: str
    mongo: str
    postgres: str
    prometheus: str


def obstacle(engine: Engine) -> str | None:
    """Why stand-ins cannot be made on this machine, if so."""
    if sys.platform != "linux":
        return "stand-ins for the published images are made on Linux only"
    if not engine.exists(_DEBIAN) and (os.geteuid() != 0 or shutil.which("debootstrap") is None):
        return "a stand-in for Debian needs root and the program debootstrap"
    return None


def make_stand_ins(engine: Engine) -> BaseImages:
    """Build what is missing; what has not changed since the last time is there already."""
    if not engine.exists(_DEBIAN):
        _make_debian(engine)
    python = _built(engine, "python", _DEBIAN)
    return BaseImages(
        python=python,
        airflow=_built(engine, "airflow", python),
        mongo=_built(engine, "mongo", python),
        postgres=_built(engine, "postgres", _DEBIAN),
        prometheus=_built(engine, "prometheus", _DEBIAN),
    )


def _make_debian(engine: Engine) -> None:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory) / "root"
        command: list[str | Path] = ["debootstrap", "--variant=minbase", "--include=ca-certificates", _RELEASE, root]
        succeeded(command, seconds=_DEBOOTSTRAP_SECONDS)
        for scrap in (root / "var/cache/apt/archives").glob("*.deb"):
            scrap.unlink()
        archive = Path(directory) / "root.tar"
        succeeded(["tar", "--create", "--file", archive, "--directory", root, "."], seconds=_IMPORT_SECONDS)
        engine.call("import", str(archive), _DEBIAN, seconds=_IMPORT_SECONDS)


def _built(engine: Engine, name: str, base: str) -> str:
    image = f"{PREFIX}/{name}:local"
    with tempfile.TemporaryDirectory() as directory:
        context = Path(directory)
        try:
            if name in _CONTEXTS:
                _CONTEXTS[name](context)
        except DevstackError as error:
            raise CheckFailedError(f"the programs of {name} cannot be had", output=str(error)) from None
        engine.build(_BASES / f"{name}.Dockerfile", context, image, BASE=base)
    return image


def _python_context(context: Path) -> None:
    """How pip reaches its index from here: the address and the certificates of this machine, kept in no repository."""
    settings = {"cert": str(_CERTIFICATES)}
    for name in ("index-url", "trusted-host"):
        asked = ran([sys.executable, "-m", "pip", "config", "get", f"global.{name}"], seconds=30)
        if asked.returncode == 0:
            settings[name] = asked.stdout.strip()
    lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
    (context / "pip.conf").write_text("[global]\n" + lines, encoding="utf-8")
    if not _CERTIFICATES.exists():
        raise CheckFailedError(f"there are no certificates in {_CERTIFICATES}")
    shutil.copyfile(_CERTIFICATES, context / _CERTIFICATES.name)


def _airflow_context(context: Path) -> None:
    shutil.copy(_BASES / "airflow-entrypoint.sh", context)


def _mongo_context(context: Path) -> None:
    # Not a mongod of this machine's own: it need not run on another system.
    found = find_mongod({name: os.environ[name] for name in ("HOME", "DEVSTACK_CACHE") if name in os.environ})
    root = context / "mongo"
    (root / "bin").mkdir(parents=True)
    shutil.copy(found.mongod, root / "mongod")
    if found.libraries is not None:
        shutil.copytree(found.libraries, root / "lib")
    _write_program(root / "bin" / "mongod", 'LD_LIBRARY_PATH=/opt/mongo/lib exec /opt/mongo/mongod "$@"')
    shell = find_mongosh().resolve()
    modules = next(folder for folder in shell.parents if folder.name == "node_modules")
    shutil.copytree(modules, root / "node_modules", symlinks=True)
    _write_program(root / "bin" / "mongosh", f'exec node /opt/mongo/node_modules/{shell.relative_to(modules)} "$@"')


def _postgres_context(context: Path) -> None:
    found = find_postgres(18, {name: os.environ[name] for name in ("HOME", "DEVSTACK_CACHE") if name in os.environ})
    shutil.copytree(found.bindir.parents[2], context / "postgres", symlinks=True)
    shutil.copy(_BASES / "postgres-entrypoint.sh", context)


def _write_program(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
    path.chmod(0o755)


_CONTEXTS = {
    "python": _python_context,
    "airflow": _airflow_context,
    "mongo": _mongo_context,
    "postgres": _postgres_context,
}
