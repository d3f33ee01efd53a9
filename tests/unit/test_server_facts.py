"""What each version of MongoDB does is known without asking it."""

from __future__ import annotations

import pytest

from replicator_service.source.connect.connection import ServerFacts


@pytest.mark.parametrize(
    ("version", "expanded", "splits", "groups"),
    [
        ((5, 0, 31), False, False, False),
        ((6, 0, 8), True, False, False),
        ((6, 0, 27), True, True, False),
        ((7, 0, 0), True, True, True),
        ((8, 0, 4), True, True, True),
    ],
)
def test_versions_are_told_apart(version: tuple[int, ...], *, expanded: bool, splits: bool, groups: bool) -> None:
    facts = ServerFacts(version)
    assert facts.expanded_events is expanded
    assert facts.splits_large_events is splits
    assert facts.groups_inserts is groups
