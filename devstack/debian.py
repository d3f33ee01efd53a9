"""Server programs inside Debian's packages: fetched by apt-get, which checks their signatures, unpacked into the cache.

Nothing is installed, so nobody has to be root and no service is started. ``python -m devstack.debian PACKAGE ...``
fetches them beforehand.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import dataclass
from pathlib import Path

from devstack import wheels
from devstack.errors import DevstackError

_ADMINISTRATORS = ("/usr/sbin", "/usr/local/sbin")
"""Where servers are, and not on everybody's PATH."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program, and the directory of the libraries that it needs besides the system's."""

    path: Path
    libraries: Path | None


def find_program(name: str, package: str) -> Program:
    """Return a program of this machine, else the one of Debian's package."""
    search = os.pathsep.join((os.environ.get("PATH", os.defpath), *_ADMINISTRATORS))
    if found := shutil.which(name, path=search):
        return Program(Path(found), None)
    root = unpacked(package)
    return Program(root / "usr/sbin" / name, libraries_of(root))


def libraries_of(root: Path) -> Path:
    """Return where the shared libraries of an unpacked package are."""
    return root / "usr/lib" / str(sysconfig.get_config_var("MULTIARCH"))


def unpacked(package: str, *, cache: Path | None = None) -> Path:
    """Return the root of a package with all that it needs and this machine lacks, fetching it first if needed.

    Safe in parallel processes.
    """
    kept = cache or wheels.cache_directory()
    target = kept / f"debian-{package}"
    if target.is_dir():
        return target
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise DevstackError(
            f"{package} is not on this machine, and neither are Debian's package tools.",
            hint=f"Install {package} with this machine's package manager.",
        )
    kept.mkdir(parents=True, exist_ok=True)
    with wheels.locked(kept / f"debian-{package}.lock"):
        if not target.is_dir():
            _fetch(package, target)
    return target


def _fetch(package: str, target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetch-") as scratch:
        directory, contents = Path(scratch), Path(scratch) / "contents"
        plan = _ran(["apt-get", "install", "--simulate", "--no-install-recommends", package], package, directory)
        named = [line.split()[1] for line in plan.splitlines() if line.startswith("Inst ")]
        # Fetching alone needs no user of its own, who could not write here.
        _ran(
            ["apt-get", "download", "-o", f"APT::Sandbox::User={os.geteuid()}", *(named or [package])],
            package,
            directory,
        )
        for archive in sorted(directory.glob("*.deb")):
            _ran(["dpkg-deb", "--extract", str(archive), str(contents)], package, directory)
        contents.chmod(0o755)
        contents.rename(target)


def _ran(command: list[str], package: str, directory: Path) -> str:
    ended = subprocess.run(  # noqa: S603 - Debian's own programs
        command, capture_output=True, text=True, check=False, cwd=directory, env={**os.environ, "LC_ALL": "C"}
    )
    if ended.returncode != 0:
        raise DevstackError(
            f"Debian's package {package} could not be fetched: {ended.stderr.strip()}",
            hint=f"Run 'apt-get update' as root, or install {package}.",
        )
    return ended.stdout


def _is_installed(package: str) -> bool:
    postgres = Path("/usr/lib/postgresql") / package.removeprefix("postgresql-") / "bin"
    search = os.pathsep.join((os.environ.get("PATH", os.defpath), *_ADMINISTRATORS))
    return postgres.is_dir() or shutil.which(package, path=search) is not None


def main() -> int:
    """Fetch the packages of the command line that are not installed."""
    try:
        for package in sys.argv[1:]:
            if not _is_installed(package):
                unpacked(package)
    except DevstackError as error:
        sys.stderr.write(f"error: {error.message}\n{error.hint}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
