"""What a server is taken to be able to do comes from trying; its version says only whether times are shared."""

from __future__ import annotations

import pytest

from replicator_service.core.abilities import Abilities, Ability, Found, lacking, require_exact
from replicator_service.core.errors import ConfigurationError
from replicator_service.source.connect.connection import ServerInfo


@pytest.mark.parametrize(
    ("version", "groups"), [((5, 0, 31), False), ((6, 0, 27), False), ((7, 0, 0), True), ((8, 0, 4), True)]
)
def test_versions_tell_whether_writes_share_a_time(version: tuple[int, ...], *, groups: bool) -> None:
    assert ServerInfo(version).groups_inserts is groups


@pytest.mark.parametrize("version", [(5, 0, 31), (8, 2, 1)])
def test_a_version_says_nothing_of_what_a_server_can_do(version: tuple[int, ...]) -> None:
    without = ServerInfo(version, lacking(Ability.EXPANDED_EVENTS, Ability.SPLIT_EVENTS, Ability.COLLECTION_UUID))
    assert not without.expanded_events
    assert not without.splits_large_events
    assert not without.takes_collection_uuid
    assert ServerInfo(version).expanded_events


def test_what_could_not_be_told_is_relied_on_until_a_refusal_shows_otherwise() -> None:
    abilities = Abilities({Ability.SNAPSHOT_READS: Found(works=None, told="it may not be asked")})
    assert abilities.has(Ability.SNAPSHOT_READS)
    require_exact(abilities, is_accepted=False)


def test_only_what_cannot_be_exact_is_refused() -> None:
    require_exact(lacking(Ability.SPLIT_EVENTS, Ability.OPLOG_HISTORY), is_accepted=False)
    with pytest.raises(ConfigurationError) as caught:
        require_exact(lacking(Ability.SNAPSHOT_READS), is_accepted=False)
    assert "REPLICATOR_ACCEPT_INEXACT=true" in caught.value.hint
    require_exact(lacking(Ability.SNAPSHOT_READS), is_accepted=True)
