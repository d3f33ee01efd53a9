"""The screen of `replicator status`: what it shows of a status, and that it fits."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from replicator_service.cli.screen import Screen
from replicator_service.cli.sparkline import condensed, sparkline
from replicator_service.core.errors import Retryable
from replicator_service.core.overview import (
    CollectionView,
    DatabaseView,
    DeadLetterGroup,
    LastReconciliation,
    MartView,
)
from replicator_service.core.steps import CollectionState
from replicator_service.runtime.http.status import status
from tests.support.health import Surroundings

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NIGHT = datetime(2026, 3, 1, 2, tzinfo=UTC)
READING = CollectionView("orders", "orders", CollectionState.SNAPSHOTTING, 1_234_567, 62, 100, 0)


def many(count: int) -> dict[str, CollectionView]:
    names = [f"collection_{number:03}" for number in range(count)]
    return {name: CollectionView(name, name, CollectionState.STREAMING, 5, None, None, 0) for name in names}


def found(view: DatabaseView, *, error: Retryable | None = None) -> dict[str, Any]:
    around = Surroundings()
    around.lead(checkpoint=88, operation=100, oldest=1)
    around.see_database(view)
    if error is not None:
        around.health.waits(error)
    return status(around.service, at=NOW, max_lag_seconds=300, version="1.2.3")


def drawn(screen: Screen, *, width: int = 80, height: int = 24, encoding: str = "utf-8") -> list[str]:
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="replace")
    console = Console(file=out, width=width, height=height, highlight=False, markup=False, legacy_windows=False)
    console.print(screen)
    out.flush()
    assert isinstance(out.buffer, io.BytesIO)
    return [line.rstrip() for line in out.buffer.getvalue().decode(encoding).splitlines()]


def test_state_lag_letters_comparison_and_marts_are_shown() -> None:
    view = DatabaseView(
        is_installed=True,
        dead_letters=3,
        dead_letter_groups=(DeadLetterGroup("orders", "violates [bold]positive[/bold]", 3, NIGHT),),
        collections={"orders": READING},
        last_reconciliation=LastReconciliation(NIGHT, differences=4, repaired=4, documents=1_000),
        marts=(MartView("user_activity", NIGHT, NIGHT, 1.0, 77, 0, 0, 0, 0),),
    )
    text = "\n".join(drawn(Screen(found(view))))
    for expected in (
        "shop  ● streaming",
        "leader  1.2.3",
        "12 s",
        "orders: violates [bold]positive[/bold]",
        "10 hours ago",
        "no differences in 1,000 documents, 4 repaired",
        "user_activity, 77 rows",
        "1,234,567",
        "██████░░░░ 62 %",
        "$ replicator dead-letters list",
    ):
        assert expected in text


@pytest.mark.parametrize("height", [24, 30, 50])
@pytest.mark.parametrize("width", [60, 80, 140])
@pytest.mark.parametrize("collections", [0, 1, 8, 200])
def test_a_screen_fits_its_terminal(width: int, height: int, collections: int) -> None:
    view = DatabaseView(is_installed=True, collections=many(collections), dead_letters=2)
    waiting = Retryable("no MongoDB server can be reached", hint="Check that the servers run.")
    lines = drawn(Screen(found(view, error=waiting), footer="footer", fits=True), width=width, height=height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    if width >= 80:
        assert lines[-1] == "footer"


def test_what_does_not_fit_is_counted_and_what_needs_a_look_comes_first() -> None:
    names = {**many(100), "orders": READING}
    lines = drawn(Screen(found(DatabaseView(is_installed=True, collections=names)), fits=True))
    table = [line for line in lines if line.startswith(("collection_", "orders"))]
    assert table[0].startswith("orders")
    assert f"and {101 - len(table)} more, all of them with --json" in lines


def test_without_a_limit_every_collection_is_there() -> None:
    lines = drawn(Screen(found(DatabaseView(is_installed=True, collections=many(100)))))
    assert sum(line.startswith("collection_") for line in lines) == 100


def test_an_error_comes_with_what_to_do() -> None:
    view = DatabaseView(is_installed=True)
    text = "\n".join(drawn(Screen(found(view, error=Retryable("no server answers", hint="Start it.")))))
    assert "! Waiting for a server since 2026-03-01T12:00:00Z: No server answers." in text
    assert "Start it." in text


def test_a_terminal_that_knows_no_blocks_gets_what_it_can_show() -> None:
    series = {"lag_seconds": [0.0, 1.0, 2.0, 3.0]}
    view = DatabaseView(is_installed=True, collections={"orders": READING})
    status_found = found(view) | {"meaning": "plain"}
    lines = drawn(Screen(status_found, series, 4), encoding="ascii")
    assert "######.... 62 %" in "\n".join(lines)
    assert "shop  * streaming" in lines[0]
    assert "?" not in "".join(lines)


def test_a_chart_is_scaled_to_its_largest_value_and_blank_where_nothing_is_known() -> None:
    assert sparkline([0.0, 4.0, None, 8.0]) == "▁▅ █"
    assert sparkline([0.1, 0.0], least_top=10.0) == "▁▁"
    assert sparkline([]) == ""


def test_groups_of_a_chart_stay_what_they_are_while_values_come_in() -> None:
    values = [float(number) for number in range(23)]
    before = condensed(values, end=23, each=5, width=3)
    after = condensed([*values, 99.0], end=24, each=5, width=3)
    assert before == [14.0, 19.0, 22.0]
    assert after == [14.0, 19.0, 99.0]
    assert condensed([None, None, 3.0], end=3, each=2, width=9) == [None, 3.0]
