"""Prints the hashed requirements of a file that this environment lacks, as pip reads them.

Used while Airflow's image is built (airflow/Dockerfile). A package that is there in another version stays as it is and
is named on standard error.
"""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import Requirement


def missing(text: str) -> str:
    """The requirements of ``text`` that are for this platform and whose package is absent, with their hashes."""
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line.strip() and not line.startswith(" ")]
    wanted = [line for line in lines if not line.startswith("#") and _is_wanted(line.split(" --hash=")[0])]
    return "".join(" ".join(line.split()) + "\n" for line in wanted)


def _is_wanted(line: str) -> bool:
    requirement = Requirement(line)
    if requirement.marker is not None and not requirement.marker.evaluate():
        return False
    try:
        present = version(requirement.name)
    except PackageNotFoundError:
        return True
    if not requirement.specifier.contains(present, prereleases=True):
        sys.stderr.write(f"kept {requirement.name} {present}; tests run with {requirement.specifier}\n")
    return False


if __name__ == "__main__":
    sys.stdout.write(missing(Path(sys.argv[1]).read_text(encoding="utf-8")))
