"""What replicating needs a MongoDB server to be able to do, what it was found to be able to do, and what follows.

Servers are asked by trying, never by their version: others speak MongoDB's protocol without all of it, and hosted ones
take away what the version has. Pure: ``source`` tries, this says what the answers mean.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from replicator_service.core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Ability(StrEnum):
    """The names that ``/status``, the metrics and the documents use."""

    SNAPSHOT_READS = "snapshot_reads"
    SNAPSHOT_HISTORY = "snapshot_history"
    COLLECTION_UUID = "collection_uuid"
    START_AFTER = "start_after"
    EXPANDED_EVENTS = "expanded_events"
    SPLIT_EVENTS = "split_events"
    OPLOG_HISTORY = "oplog_history"
    FILTERED_LISTS = "filtered_lists"
    NAME_LISTS = "name_lists"
    AUTHORIZED_LISTS = "authorized_lists"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an ability is for.

    ``check`` is the line of ``replicator check`` that tells of it, ``use`` what it is good for, ``missing`` that it is
    not there. ``without`` is what follows where it is missing, ``fix`` what to do about it. ``inexact`` ends the
    sentence "exact, except ...": what has it cannot be replicated exactly without the ability, so a person has to
    accept that.
    """

    check: str
    use: str
    missing: str
    without: str
    fix: str
    inexact: str | None = None


_WHILE_WRITTEN = "rows that are newer than the checkpoint, whenever MongoDB is written to"
_UPGRADE = "Upgrade MongoDB"

MEANINGS: Mapping[Ability, Meaning] = {
    Ability.SNAPSHOT_READS: Meaning(
        "reads at a cluster time",
        "Documents can be read as they were at one cluster time.",
        "this server does not read at a cluster time",
        "rows can be newer than the checkpoint, and a reconciliation is not possible",
        f"{_UPGRADE} to 5.0 or later, or use a server that reads at a cluster time "
        "(readConcern snapshot with atClusterTime, outside of transactions).",
        f"{_WHILE_WRITTEN}: this server cannot read at a cluster time",
    ),
    Ability.SNAPSHOT_HISTORY: Meaning(
        "snapshot history",
        "They can be read so for a while: the past that the server keeps.",
        "this server keeps too little of the past",
        "most reads come too late and show a newer time",
        "On every member: db.adminCommand({setParameter: 1, minSnapshotHistoryWindowInSeconds: 300}), and in its "
        "configuration.",
        f"{_WHILE_WRITTEN}: this server keeps too little of the past",
    ),
    Ability.COLLECTION_UUID: Meaning(
        "reads by collection uuid",
        "A read names the collection that it means by its UUID.",
        "this server does not take a collection's UUID",
        "the list of collections is looked at before and after each read instead",
        f"{_UPGRADE} to 6.0 or later.",
    ),
    Ability.START_AFTER: Meaning(
        "streams after a drop",
        "A stream continues after the database was dropped.",
        "this server does not continue a stream with startAfter",
        "a database that is dropped means that everything is read again",
        f"{_UPGRADE} to 4.2 or later.",
    ),
    Ability.EXPANDED_EVENTS: Meaning(
        "events of new collections",
        "The stream tells of collections that are made.",
        "this server does not tell of collections that are made (showExpandedEvents)",
        "a new collection has its table with its first document, not before",
        f"{_UPGRADE} to 6.0 or later.",
    ),
    Ability.SPLIT_EVENTS: Meaning(
        "mongodb large events",
        "The server splits change events of more than 16 MB.",
        "this server does not split change events of more than 16 MB",
        "such an event cannot be delivered: everything is read again behind it, or the service stops there "
        "(REPLICATOR_ON_HISTORY_LOST)",
        f"{_UPGRADE} to 6.0.9 or later.",
    ),
    Ability.OPLOG_HISTORY: Meaning(
        "oplog readable",
        "The oplog can be read: it tells this history from another, and how much of it is left.",
        "the oplog cannot be read",
        "a restored backup is recognised by its collections alone, and the headroom is unknown",
        "Grant find on local.oplog.rs (the role clusterMonitor on admin, or read on local), where the provider allows "
        "it.",
    ),
    Ability.FILTERED_LISTS: Meaning(
        "look-up of one collection",
        "One collection is looked up without listing all.",
        "this server does not look up one collection",
        "all collections are listed to find one: slow with thousands of them",
        f"{_UPGRADE}.",
    ),
    Ability.NAME_LISTS: Meaning(
        "lists of names",
        "Collections can be listed by name alone.",
        "this server does not list collections by name alone",
        "nothing: it is not relied on",
        "",
    ),
    Ability.AUTHORIZED_LISTS: Meaning(
        "lists of what is granted",
        "A user can list what it may read.",
        "this server does not list what a user may read",
        "nothing, as long as the user may list all collections",
        "",
    ),
}

LEAST_HISTORY_SECONDS = 5
"""A server that keeps less of the past cannot be read at the position of a stream that is being written to: with 0 and
with 1, a read behind a hundred writes was refused at every try (6.0.27)."""


@dataclass(frozen=True, slots=True)
class Found:
    """What came of trying: it works, it does not, or None where that could not be told; and what the server said."""

    works: bool | None
    told: str = ""


@dataclass(frozen=True, slots=True)
class Abilities:
    """What one server was found to be able to do. What was not tried is taken to work: a refusal shows it.

    ``history_seconds`` is how far back the server promises to read; None where that is not known.
    """

    found: Mapping[Ability, Found] = field(default_factory=dict)
    history_seconds: int | None = None

    def has(self, ability: Ability) -> bool:
        """Whether to rely on it."""
        found = self.found.get(ability)
        return found is None or found.works is not False

    @property
    def missing(self) -> Iterator[Ability]:
        """What does not work, in the order of :class:`Ability`."""
        return (ability for ability in Ability if not self.has(ability))

    @property
    def inexact(self) -> list[str]:
        """What cannot be exact on this server, each as the end of "exact, except ..."."""
        told = (MEANINGS[ability].inexact for ability in self.missing)
        return [each for each in told if each is not None][:1]


def lacking(*abilities: Ability) -> Abilities:
    """A server without these."""
    return Abilities({each: Found(works=False) for each in abilities})


def require_exact(abilities: Abilities, *, is_accepted: bool) -> None:
    """Refuse a server that cannot be replicated from exactly, unless a person has accepted that.

    Raises :class:`ConfigurationError`.
    """
    if is_accepted:
        return
    for ability in abilities.missing:
        if MEANINGS[ability].inexact is not None:
            raise refused(ability, abilities.found[ability])


def refused(ability: Ability, found: Found) -> ConfigurationError:
    """Why a service does not start without this ability."""
    meaning = MEANINGS[ability]
    return ConfigurationError(
        f"MongoDB cannot be replicated from exactly: {describe(ability, found)}",
        hint=f"{meaning.fix} REPLICATOR_ACCEPT_INEXACT=true accepts it: /status then says for as long as it is so what "
        "is not exact.",
    )


def describe(ability: Ability, found: Found) -> str:
    """What is missing, what the server said of it, and what follows."""
    meaning = MEANINGS[ability]
    said = f" ({found.told})" if found.told else ""
    return f"{meaning.missing}{said}; {meaning.without}"
