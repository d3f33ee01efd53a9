"""What a release is: one version everywhere, and a dated section of the changelog that says what is in it.

``pyproject.toml`` has the version; every other place that names it is found here. ``python -m deploy.release`` is what
``make release-check`` and the workflow of releases run::

    python -m deploy.release check [TAG]   exit code 1 with a line for each thing that is not ready
    python -m deploy.release version       the version
    python -m deploy.release notes         the section of the changelog, for people who read the release
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

_PLACES = ("docker-compose.yml", "*/Dockerfile", "deploy/*.yml", "deploy/kubernetes/**/*.yaml", "docs/**/*.md")
_NAMED = re.compile(
    r"(?:\b(?:replicator|airflow):|\b(?:newTag|defaultAirflowTag): |\breplicator_build_info\{.*version=\")"
    r"(\d+\.\d+\.\d+)\b"
)
"""An image of ours with its version, as a tag or as a value of Kustomize and Helm; and the version in the reference."""
_OTHERS = re.compile(r"apache/airflow:")
_SECTION = re.compile(r"^## (.+)$", re.MULTILINE)
_RELEASED = re.compile(r"(\d+\.\d+\.\d+) - (\d{4}-\d{2}-\d{2})")


def version() -> str:
    """The version of this checkout."""
    found: str = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    return found


def named() -> list[tuple[str, str]]:
    """Every place that names a version of ours, as ``file:line``, with the version that stands there."""
    return [
        (f"{path.relative_to(ROOT)}:{number}", match[1])
        for pattern in _PLACES
        for path in sorted(ROOT.glob(pattern))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        for match in _NAMED.finditer(_OTHERS.sub("", line))
    ]


def sections() -> dict[str, str]:
    """The sections of the changelog by their titles, the newest first."""
    _, *parts = _SECTION.split((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    return {title: text.strip() for title, text in zip(parts[::2], parts[1::2], strict=True)}


def disagreements() -> list[str]:
    """What does not agree with the version of this checkout, one line each; this holds at every commit."""
    wanted = version()
    problems = [f"{place} names {found}, not {wanted}" for place, found in named() if found != wanted]
    titles = list(sections())
    if titles[:1] != ["Unreleased"]:
        problems.append("CHANGELOG.md does not begin with the section Unreleased")
    released = [match[1] for title in titles[1:] if (match := _RELEASED.fullmatch(title))]
    if len(released) < len(titles) - 1:
        problems.append("a section of CHANGELOG.md has no title of the form 1.2.3 - 2026-01-31")
    if released[:1] != [wanted]:
        problems.append(f"the newest release in CHANGELOG.md is {released[:1]}, not {wanted}")
    return problems


def unready(tag: str = "") -> list[str]:
    """What is in the way of a release of this checkout under ``tag``, one line each."""
    problems = disagreements()
    if sections().get("Unreleased"):
        problems.append("CHANGELOG.md has something under Unreleased: give it a version and a date")
    if tag and tag != f"v{version()}":
        problems.append(f"the tag is {tag}, and the version v{version()}")
    if "### For those who upgrade" not in notes():
        problems.append("the section of CHANGELOG.md does not say what those who upgrade have to know")
    return problems


def notes() -> str:
    """The section of this version."""
    return next((text for title, text in sections().items() if title.startswith(f"{version()} - ")), "")


def main(command: str, tag: str = "") -> int:
    """Do what the command line says; return its exit code."""
    told = {"check": lambda: unready(tag), "version": lambda: [version()], "notes": lambda: [notes()]}[command]()
    sys.stdout.writelines(f"{line}\n" for line in told)
    return 1 if command == "check" and told else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
