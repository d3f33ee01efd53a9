"""The MongoDB shell: the environment's, the PATH's, or the published npm package, fetched once into the cache.

The servers do not need it; the scripts that set up a deployment (`mongo-init/`) do. The package runs on node, which the
project's own environment has.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from devstack import wheels
from devstack.errors import DevstackError

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION = "2.5.8"
_FETCH_SECONDS = 300


def find_mongosh(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the shell to use: `MONGOSH`, else one on the PATH, else the npm package's, which needs node."""
    if chosen := environment.get("MONGOSH"):
        return Path(chosen)
    if on_path := shutil.which("mongosh", path=environment.get("PATH")):
        return Path(on_path)
    cache = wheels.cache_directory(environment)
    target = cache / f"mongosh-{VERSION}"
    if not target.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with wheels.locked(cache / "mongosh.lock"):
            if not target.is_dir():
                _fetch(target, environment)
    return target / "node_modules" / ".bin" / "mongosh"


def search_path(environment: Mapping[str, str] = os.environ) -> str:
    """The PATH on which the shell's program finds node."""
    return os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", os.defpath)])


def _fetch(target: Path, environment: Mapping[str, str]) -> None:
    search = search_path(environment)
    npm = shutil.which("npm", path=search)
    if npm is None:
        raise DevstackError(
            "There is no mongosh here, and no npm to fetch it with.",
            hint="Run `make venv`, install mongosh, or set MONGOSH to a mongosh program.",
        )
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetch-") as scratch:
        contents = Path(scratch) / "contents"
        contents.mkdir()
        command = [npm, "install", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        ended = subprocess.run(  # noqa: S603 - npm with a pinned package
            [*command, f"mongosh@{VERSION}"],
            cwd=contents,
            env={**environment, "PATH": search},
            capture_output=True,
            text=True,
            check=False,
            timeout=_FETCH_SECONDS,
        )
        if ended.returncode != 0:
            raise DevstackError(
                f"mongosh {VERSION} could not be fetched:\n{ended.stderr.strip()}",
                hint="Check the network, or put a mongosh on the PATH.",
            )
        contents.rename(target)
