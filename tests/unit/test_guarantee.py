"""What is promised of the rows, in words: exact only where it is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from replicator_service.core.errors import Fatal, SinkUnavailable
from replicator_service.core.overview import CollectionView, DatabaseView, LastReconciliation
from replicator_service.core.steps import CollectionState
from replicator_service.runtime.judgement.guarantee import MEANINGS, guarantee, meaning
from replicator_service.runtime.state.health import State
from tests.support.health import Surroundings, at_second

if TYPE_CHECKING:
    from collections.abc import Mapping

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)


@pytest.fixture
def around() -> Surroundings:
    surroundings = Surroundings()
    surroundings.lead()
    return surroundings


def views(**states: CollectionState) -> Mapping[str, CollectionView]:
    return {name: CollectionView(name, name, state, 0, None, None, 0) for name, state in states.items()}


def test_a_stream_that_is_well_is_exact(around: Surroundings) -> None:
    around.see_database(DatabaseView(collections=views(a=CollectionState.STREAMING)))
    assert guarantee(around.service) == "exact"
    assert meaning(around.service) == MEANINGS[State.STREAMING]


def test_documents_that_were_refused_are_no_part_of_it(around: Surroundings) -> None:
    around.commit(dead_letters=2)
    assert guarantee(around.service) == "exact, except 2 documents that PostgreSQL refused"
    assert meaning(around.service).startswith(
        "PostgreSQL shows MongoDB exactly as it was at the checkpoint, but for 2 documents that PostgreSQL refused."
    )


def test_collections_that_are_paused_still_read_or_cannot_be_read_are_named(around: Surroundings) -> None:
    paused, reading, streaming = CollectionState.PAUSED, CollectionState.SNAPSHOTTING, CollectionState.STREAMING
    states = views(a=paused, b=reading, c=reading, d=streaming)
    around.see_database(DatabaseView(collections=states))
    around.health.collection_failed("c", Fatal("MongoDB refused find"))
    assert guarantee(around.service) == (
        "exact, except 1 collection that cannot be read (c), 1 collection that somebody has paused (a) "
        "and 1 collection that is still read (b)"
    )


def test_many_collections_are_counted(around: Surroundings) -> None:
    around.see_database(DatabaseView(collections=views(**{f"c{n}": CollectionState.SNAPSHOTTING for n in range(9)})))
    assert guarantee(around.service) == "exact, except 9 collections that are still read (c0, c1, c2 and 6 more)"


def test_differences_that_remain_are_told_and_those_that_are_dead_letters_once(around: Surroundings) -> None:
    around.see_database(DatabaseView(last_reconciliation=LastReconciliation(NOW, 3, 2)))
    assert guarantee(around.service) == "exact, except 1 difference of the last reconciliation that remains"


def test_rows_of_two_times_are_told(around: Surroundings) -> None:
    around.commit(converging_until=at_second(900))
    assert guarantee(around.service).startswith("exact, except rows that are newer than the checkpoint")


def test_nothing_is_promised_before_the_first_commit() -> None:
    assert guarantee(Surroundings().service) == "none: nothing has been replicated yet"


def test_the_headline_of_an_outage_names_the_server_and_the_time(around: Surroundings) -> None:
    around.health.waits(SinkUnavailable("PostgreSQL cannot be reached"))
    around.now += 57
    assert meaning(around.service).startswith("Waiting for PostgreSQL for 57 seconds. Nothing is replicated")
