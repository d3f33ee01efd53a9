"""What the server can do, one line for each ability, with what follows where it cannot."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from replicator_service.core.abilities import MEANINGS, Ability, describe
from replicator_service.core.errors import ConfigurationError, ReplicatorError
from replicator_service.source.connect.abilities import ABSENT
from replicator_service.source.connect.last_write import last_write
from replicator_service.source.connect.route import FALL_BACK_SECONDS, Route, preference

if TYPE_CHECKING:
    from pymongo.database import Database

    from replicator_service.core.abilities import Abilities, Found
    from replicator_service.core.findings import Checklist
    from replicator_service.core.read_from import ReadFrom
    from replicator_service.source.connect.connection import Client
    from replicator_service.source.connect.member import Member

NAMES = tuple(MEANINGS[ability].check for ability in Ability)
READ_FROM = "member that is read from"

_ADVISED_HISTORY_SECONDS = 60
_ACCEPTED = "accepted by REPLICATOR_ACCEPT_INEXACT: "


def check_abilities(abilities: Abilities, checks: Checklist, *, accepts_inexact: bool) -> None:
    """Say what was found: what cannot be exact fails, unless it is accepted; what is only worse warns."""
    for ability in Ability:
        if ability in abilities.found:
            _check(ability, abilities.found[ability], abilities, checks, accepts_inexact=accepts_inexact)
        else:
            checks.skip(MEANINGS[ability].check)


def _check(ability: Ability, found: Found, abilities: Abilities, checks: Checklist, *, accepts_inexact: bool) -> None:
    meaning = MEANINGS[ability]
    seconds = abilities.history_seconds
    if found.works is None:
        checks.warn(meaning.check, f"cannot be told: {found.told}", meaning.fix)
    elif not found.works and meaning.inexact is not None and not accepts_inexact:
        checks.fail(
            meaning.check, describe(ability, found), f"{meaning.fix} Or accept it: REPLICATOR_ACCEPT_INEXACT=true"
        )
    elif not found.works:
        accepted = _ACCEPTED if meaning.inexact is not None else ""
        checks.warn(meaning.check, accepted + describe(ability, found), meaning.fix)
    elif ability is Ability.SNAPSHOT_HISTORY and seconds is not None and seconds < _ADVISED_HISTORY_SECONDS:
        checks.warn(
            meaning.check,
            f"the past can be read for {seconds} s: the state will often converge instead of being exact",
            meaning.fix,
        )
    else:
        said = f" ({found.told})" if found.told else ""
        checks.ok(meaning.check, meaning.use.removesuffix(".") + said)


def check_member(
    client: Client, database: Database[dict[str, Any]], uri: str, read_from: ReadFrom, checks: Checklist
) -> Member | None:
    """Say which member would be read from, and give it; None is the primary, also where the member lags."""
    try:
        route = Route(client, preference(uri, read_from))
    except ConfigurationError as error:
        checks.fail(READ_FROM, error.message, error.hint)
        return None
    if not route.is_chosen:
        checks.ok(READ_FROM, "the primary")
        return None
    member = route.member()
    # A user that may not read has failed checks of privileges.
    with suppress(ReplicatorError):
        if member and not route.reaches(member, database, ABSENT, last_write(client).latest.cluster_time):
            member = None
    if route.reading.member is not None:
        checks.ok(READ_FROM, route.reading.member)
    elif route.reading.reason is None:
        checks.ok(READ_FROM, "the primary, as the read preference of the address allows")
    else:
        checks.warn(
            READ_FROM,
            f"{route.reading.reason}: the primary would be read instead",
            "Check the tags in REPLICATOR_MONGO_URI against rs.conf(), and that a secondary answers and has the latest "
            f"write within {FALL_BACK_SECONDS:.0f} s: rs.printSecondaryReplicationInfo().",
        )
    return member
