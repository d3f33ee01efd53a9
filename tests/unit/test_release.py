"""A release is one version in all places, with notes, and is published by actions that are pinned."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from deploy import release
from tests.support.doc_blocks import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def test_every_place_names_the_version_of_the_project() -> None:
    assert len(release.named()) >= 10
    assert release.disagreements() == []


def test_a_place_that_stays_behind_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release, "version", lambda: "9.9.9")
    problems = release.unready("v9.9.8")
    assert any(line.startswith("docker-compose.yml:") for line in problems)
    assert any("newest release in CHANGELOG.md" in line for line in problems)
    assert "the tag is v9.9.8, and the version v9.9.9" in problems


def test_the_notes_say_what_those_who_upgrade_have_to_know() -> None:
    assert "### For those who upgrade" in release.notes()


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_by_commit(path: Any) -> None:
    workflow: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    used = [step["uses"] for job in workflow["jobs"].values() for step in job["steps"] if "uses" in step]
    assert used
    assert [each for each in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", each)] == []
