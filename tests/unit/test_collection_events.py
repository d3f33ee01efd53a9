"""Series by collection: their number is bounded, and no sum shrinks."""

from __future__ import annotations

from replicator_service.core.overview import CollectionView, DatabaseView
from replicator_service.core.steps import CollectionState
from replicator_service.runtime.metrics.collection_events import GONE, MOST, OTHER
from tests.support.health import Surroundings


def see(around: Surroundings, **states: CollectionState) -> None:
    views = {name: CollectionView(name, name, state, 0, None, None, 0) for name, state in states.items()}
    around.see_database(DatabaseView(is_installed=True, collections=views))


def series(around: Surroundings) -> dict[str, float]:
    lines = around.metrics.exposition().decode().splitlines()
    found = [line for line in lines if line.startswith("replicator_events_total{")]
    return {line.split('collection="')[1].split('"')[0]: float(line.rpartition(" ")[2]) for line in found}


def test_collections_that_came_and_went_share_one_series() -> None:
    around = Surroundings()
    around.lead()
    for number in range(40):
        name = f"run{number}"
        around.commit(events={(name, "insert"): 3})
        see(around, **{name: CollectionState.STREAMING})
        assert series(around)[name] == 3, "one that is there has its own"
        see(around, **({name: CollectionState.DROPPED} if number % 2 else {}))
    assert series(around) == {GONE: 120}


def test_a_collection_that_has_just_come_is_not_gone() -> None:
    around = Surroundings()
    around.lead()
    see(around, old=CollectionState.STREAMING)
    around.commit(events={("new", "insert"): 1})
    assert series(around) == {"new": 1}


def test_more_collections_than_the_bound_share_the_rest() -> None:
    around = Surroundings()
    around.commit(events={(f"c{number}", "insert"): 1 for number in range(MOST + 5)})
    found = series(around)
    assert len(found) == MOST + 1
    assert found[OTHER] == 5


def test_temporary_collections_have_no_snapshot_series() -> None:
    around = Surroundings()
    name = "tmp.agg_out.1b4e28ba-2fa1-11d2-883f-0016d3cca427"
    see(around, **{name: CollectionState.SNAPSHOTTING, "orders": CollectionState.SNAPSHOTTING})
    text = around.metrics.exposition().decode()
    assert 'collection="orders"' in text
    assert "tmp." not in text
