"""What is guaranteed of the rows at this moment, in words, and what the state means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.core.steps import CollectionState
from replicator_service.core.words import counted, listed, spelled
from replicator_service.runtime.state.health import State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from replicator_service.runtime.judgement.service_view import ServiceView

MEANINGS = {
    State.STARTING: "Connecting to both servers and looking for the last checkpoint.",
    State.WAITING: "Nothing is replicated until this is over. Then it continues by itself, and nothing is lost.",
    State.SNAPSHOTTING: "Reading existing documents for the first time, or again, while new changes keep arriving.",
    State.STREAMING: "PostgreSQL shows MongoDB exactly as it was at the checkpoint, and follows every change.",
    State.CONVERGING: "Catching up: some rows are already newer than the checkpoint. Exact again once it passes them.",
    State.PAUSED: "An operator has paused the stream. Nothing is written until it is resumed; changes wait in MongoDB.",
    State.STANDBY: "Another instance leads. This one watches, and takes over within seconds when the leader is gone.",
    State.RESYNC_REQUIRED: "MongoDB no longer has the changes after the checkpoint: everything has to be read again.",
    State.FAILED: "Stopped by an error that does not go away by itself: a person has to look.",
}
"""Each state in one sentence, where nothing more is to be said of it."""

EXACT = "exact"


def guarantee(service: ServiceView) -> str:
    """``exact``, ``exact, except ...`` with everything that is known not to be, or why nothing is promised."""
    if service.cluster_time is None:
        return "none: nothing has been replicated yet"
    exceptions = list(_exceptions(service))
    if service.is_converging:
        # The rows are of two times until then: no single one can be named.
        exceptions.insert(0, "rows that are newer than the checkpoint, until it has passed them")
    return f"{EXACT}, except {listed(exceptions)}" if exceptions else EXACT


def meaning(service: ServiceView) -> str:
    """What the state means, as true as it is known."""
    wait = service.wait
    if service.state is State.WAITING and wait is not None:
        name = "a server" if wait.server is None else wait.server.spelled
        waited = spelled(max(0.0, service.now - wait.since))
        return f"Waiting for {name} for {waited}. {MEANINGS[State.WAITING]}"
    exceptions = list(_exceptions(service))
    if service.state is State.STREAMING and exceptions:
        return (
            f"PostgreSQL shows MongoDB exactly as it was at the checkpoint, but for {listed(exceptions)}. "
            "Every other change is followed."
        )
    return MEANINGS[service.state]


def _exceptions(service: ServiceView) -> Iterator[str]:
    abilities = service.report.abilities
    if abilities is not None:
        yield from abilities.inexact
    if count := service.dead_letters:
        yield f"{counted(count, 'document')} that PostgreSQL refused"
    database = service.database
    views = database.collections.values() if database is not None else ()
    failing = set(service.report.collection_errors)
    kinds = (
        (failing, "that cannot be read"),
        ({each.name for each in views if each.state is CollectionState.PAUSED}, "that somebody has paused"),
        ({each.name for each in views if each.state is CollectionState.SNAPSHOTTING} - failing, "that is still read"),
    )
    for names, why in kinds:
        if names:
            told = why if len(names) == 1 else why.replace("is still", "are still")
            yield f"{counted(len(names), 'collection')} {told} ({listed(sorted(names), most=3)})"
    last = database.last_reconciliation if database is not None else None
    if last is not None and last.unexplained:
        remain = "remains" if last.unexplained == 1 else "remain"
        yield f"{counted(last.unexplained, 'difference')} of the last reconciliation that {remain}"
