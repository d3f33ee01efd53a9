"""``replicator mapping infer``: what is in a database, as a mapping file. Reads MongoDB, changes nothing."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from replicator_service.core.errors import ConfigurationError, ReplicatorError
from replicator_service.core.mapping.inference import Origin, Proposal, Sampled, Skipped, fold, propose, render_file
from replicator_service.core.mapping.loader import load_mapping
from replicator_service.core.mapping.problems import MappingError, closest
from replicator_service.core.masking.personal import Sightings
from replicator_service.core.ports import CollectionKind, SourceCollection
from replicator_service.source.connect.connection import connect, disconnect
from replicator_service.source.connect.deadline import require_reachable
from replicator_service.source.connect.route import sampling_preference
from replicator_service.source.read.catalog import list_collections, list_databases
from replicator_service.source.read.sampling import Bounds, sample
from replicator_service.source.read.size import collection_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from replicator_service.configuration.settings import Settings
    from replicator_service.source.connect.connection import Client

_NAMED = 10
_KINDS = {CollectionKind.VIEW: "a view", CollectionKind.TIME_SERIES: "a time-series collection"}


class Progress(Protocol):
    """Who wants to know how far the reading is."""

    def planned(self, documents: int) -> None:
        """So many documents are going to be read, about."""
        ...

    def advanced(self, collection: str) -> None:
        """One more document of this collection was read."""
        ...


@dataclass(frozen=True, slots=True)
class Inferred:
    """What was proposed, and the file that says so."""

    proposal: Proposal
    text: str


def infer(
    settings: Settings,
    *,
    collections: Sequence[str],
    bounds: Bounds,
    command: str,
    progress: Progress,
    clock: Callable[[], float],
) -> Inferred:
    """Sample the collections (all, when none is named) and propose their tables; ``command`` goes into the header.

    Raises :class:`ConfigurationError` for a database or a collection that is not there, or has no change events.
    """
    uri = settings.mongo_uri.get_secret_value()
    preferred = sampling_preference(uri, settings.read_from)
    client = connect(uri, app_name="replicator mapping infer")
    try:
        database = client.get_database(settings.mongo_database)
        require_reachable(database)
        listed = list_collections(database)
        if not listed:
            raise _nothing_there(client, settings.mongo_database)
        chosen = _chosen(listed, collections, settings.mongo_database)
        streamed = {name: collection_size(database, name, preferred) for name in chosen if listed[name].is_streamed}
        progress.planned(sum(min(size.documents, bounds.documents) for size in streamed.values()))
        seen = {name: Sightings() for name in streamed}
        samples = []
        for name, size in streamed.items():
            documents = _counted(sample(database, name, size, bounds, clock=clock, preferred=preferred), name, progress)
            samples.append(Sampled(name, size.documents, fold(documents, look=seen[name].add)))
    finally:
        disconnect(client)
    not_replicable = [Skipped(name, _KINDS[listed[name].kind]) for name in chosen if not listed[name].is_streamed]
    proposal = propose(samples, not_replicable)
    personal = {name: sightings.suspicions() for name, sightings in seen.items()}
    text = render_file(proposal, Origin(command, settings.mongo_database), personal)
    _check_readable(text)
    return Inferred(proposal, text)


def _counted(documents: Iterator[bytes], collection: str, progress: Progress) -> Iterator[bytes]:
    for document in documents:
        progress.advanced(collection)
        yield document


def _chosen(listed: Mapping[str, SourceCollection], wanted: Sequence[str], database: str) -> list[str]:
    """The collections to look at, in the order of their names; those that were asked for have to be replicable."""
    for name in wanted:
        if name not in listed:
            meant = closest(name, listed)
            known = f"Known are: {_some(sorted(listed))}."
            raise ConfigurationError(
                f"there is no collection {name!r} in the database {database!r}",
                hint=f"Did you mean {meant}?" if meant else known,
            )
        if not listed[name].is_streamed:
            raise ConfigurationError(
                f"{name!r} is {_KINDS[listed[name].kind]}: MongoDB has no change events for it",
                hint="Name collections that can be replicated.",
            )
    return sorted(set(wanted) or listed)


def _check_readable(text: str) -> None:
    """A mapping file has bounds, which very many wide collections pass: say so before it is written."""
    try:
        load_mapping(text, name="inferred")
    except MappingError as error:
        raise ConfigurationError(
            f"the mapping of all this could not be read again: {error.problems[0].message}",
            hint="Infer some of the collections with --collection; the others become document tables.",
        ) from None


def _nothing_there(client: Client, database: str) -> ConfigurationError:
    """The server does not tell an empty database from one that does not exist, so its others are named."""
    others: list[str] = []
    with suppress(ReplicatorError):
        others = [name for name in list_databases(client) if name != database]
    there = f" Databases here: {_some(others)}." if others else ""
    return ConfigurationError(
        f"the database {database!r} has no collections: it is empty or does not exist",
        hint=f"Set REPLICATOR_MONGO_DATABASE to the database to replicate.{there}",
    )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
