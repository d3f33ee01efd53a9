"""Compile the compiled path: ``python -m replicator_service.core.compiled.build``.

It needs Cython and a C compiler. Where either is missing, or fails, nothing is left behind and Python does the work:
that is said in one line, and is no failure.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from replicator_service.core.compiled import MODULES
from replicator_service.core.compiled.sources import HERE, SUFFIX, remove_made, write_made

_PACKAGE = "replicator_service.core.compiled"
_TOP = HERE.parent.parent.parent
_DIRECTIVES = ("language_level=3", "cdivision=True", "boundscheck=False", "wraparound=False")


def compile_all(to: Path = HERE, flags: tuple[str, ...] = ()) -> str | None:
    """Compile into a folder and return what prevented it, or None.

    ``flags`` go to the compiler as well. Files of an earlier attempt are removed first, so that none is stale.
    """
    remove_made(to, MODULES)
    try:
        for name in MODULES:
            _compile(name, to / f"{name}{SUFFIX}", flags)
    except (OSError, subprocess.CalledProcessError) as error:
        remove_made(to, MODULES)
        return _cause(error)
    write_made(to, MODULES)
    return None


def _compile(name: str, target: Path, flags: tuple[str, ...]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / f"{name}.c"
        directives = [argument for each in _DIRECTIVES for argument in ("-X", each)]
        module = ["--module-name", f"{_PACKAGE}.{name}"]
        _run([sys.executable, "-m", "cython", *directives, *module, str(HERE / f"{name}.pyx"), "-o", str(source)])
        compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
        linking = shlex.split(sysconfig.get_config_var("LDSHARED") or "cc -shared")[1:]
        made = Path(folder) / target.name
        _run(
            [
                *compiler,
                *[each for each in linking if each in {"-shared", "-bundle", "-undefined", "dynamic_lookup"}],
                "-O2",
                "-fPIC",
                "-fwrapv",
                f"-I{sysconfig.get_path('include')}",
                *flags,
                str(source),
                "-o",
                str(made),
            ]
        )
        target.write_bytes(made.read_bytes())


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, cwd=_TOP)  # noqa: S603 - our own command


def _cause(error: OSError | subprocess.CalledProcessError) -> str:
    if isinstance(error, OSError):
        return f"there is no C compiler ({error.filename or error})"
    lines = [line for line in str(error.stderr).splitlines() if line.strip()]
    return f"{Path(str(error.cmd[0])).name} failed: {lines[-1] if lines else error.returncode}"


def main() -> None:
    """Compile in place and say in one line which path will run."""
    problem = compile_all(flags=tuple(sys.argv[1:]))
    told = "The hot path is compiled." if problem is None else f"The hot path stays in Python: {problem}"
    sys.stdout.write(told + "\n")


if __name__ == "__main__":
    main()
