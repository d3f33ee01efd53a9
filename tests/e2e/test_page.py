"""The page as a person meets it: in a real browser, over the real HTTP server."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from devstack.chromium import find_chromium, running_chromium
from devstack.errors import DevstackError
from replicator_service.core.errors import Fatal, ResyncRequired, SinkUnavailable
from replicator_service.core.overview import (
    CollectionView,
    DatabaseView,
    DeadLetterGroup,
    DifferenceGroup,
    FindingGroup,
    LastReconciliation,
    Leader,
    MartView,
)
from replicator_service.core.reconciliation import DifferenceKind
from replicator_service.core.schema_findings import FindingKind, SchemaFinding
from replicator_service.core.steps import CollectionState
from replicator_service.runtime.http.routes import make_routes
from replicator_service.runtime.http.server import HttpServer
from replicator_service.runtime.http.status import About
from replicator_service.runtime.judgement.guarantee import MEANINGS
from replicator_service.runtime.state.health import State
from replicator_service.runtime.state.history import History, Sample
from tests.support.browsing import Visit, visit
from tests.support.health import Surroundings, at_second
from tests.support.monitoring import ROOT, alerts
from tests.support.processes import Operator
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

    from tests.support.databases import Sink, Source

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
UNKNOWN = "\N{EN DASH}"
GOOD, CRITICAL = "rgb(44, 122, 75)", "rgb(179, 38, 30)"
ABOUT = About("https://wiki.example/runbooks", "https://airflow.example/", {"Orders": ["orders_lines", "orders_tags"]})
HOSTILE = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of this file; without one they fail with what to install."""
    with running_chromium() as running:
        yield running


@dataclass
class Shown:
    """A service made up by a test, and its page."""

    browser: Browser
    url: str
    around: Surroundings
    history: History
    opened: list[Visit] = field(default_factory=list)

    def visit(self, **options: Any) -> Visit:
        """Look at the page."""
        found = visit(self.browser, self.url, **options)
        self.opened.append(found)
        return found


@pytest.fixture
def shown(browser: Browser) -> Iterator[Shown]:
    """A service whose state the test drives by hand; scripts of its page must not have failed at the end."""
    around, history = Surroundings(), History()
    routes = make_routes(
        around.watch.service_view,
        around.metrics,
        max_lag_seconds=30,
        version="1.2.3",
        history=history,
        about=ABOUT,
        clock=lambda: NOW,
    )
    with HttpServer(routes, host="127.0.0.1", port=0) as server:
        made = Shown(browser, server.url, around, history)
        yield made
        for each in made.opened:
            each.page.close()
    assert [error for each in made.opened for error in each.errors] == []


def collection(name: str, state: CollectionState = CollectionState.STREAMING, **values: Any) -> CollectionView:
    return replace(CollectionView(name, name.lower(), state, 1_200, None, None, 0), **values)


def database(*collections: CollectionView, **values: Any) -> DatabaseView:
    return DatabaseView(is_installed=True, collections={each.name: each for each in collections}, **values)


def leader() -> Leader:
    return Leader(4711, "replicator writer", "10.1.2.3", NOW - timedelta(hours=3))


def enter(around: Surroundings, state: State) -> None:
    """Bring the service into a state the way the service itself gets there."""
    around.lead(checkpoint=90_000, operation=90_000, oldest=1_000)
    match state:
        case State.STREAMING:
            around.commit(90_000)
        case State.SNAPSHOTTING:
            around.commit(90_000, is_snapshotting=True)
        case State.CONVERGING:
            around.commit(90_000, converging_until=at_second(90_001))
        case State.PAUSED:
            around.health.paused(is_paused=True)
        case State.STANDBY:
            around.health.standing_by(cluster_time=at_second(90_000))
        case State.RESYNC_REQUIRED:
            around.health.resync_required(ResyncRequired("history lost", hint="Run: replicator resync --all"))
        case State.FAILED:
            around.health.failed(Fatal("the table was changed by hand", hint="Repair it."))
        case State.WAITING:
            around.health.waits(SinkUnavailable("the disk is full", hint="Free space on it."))
        case State.STARTING:
            around.health.stepped_down()


@pytest.mark.parametrize("state", list(State))
def test_every_state_is_named_and_explained(shown: Shown, state: State) -> None:
    enter(shown.around, state)
    shown.around.see_database(database(collection("Orders"), leader=leader()))
    page = shown.visit()
    assert page.text("#state").lower().replace(" ", "_") == state.value
    if state is State.WAITING:
        assert page.text("#meaning").startswith("Waiting for PostgreSQL for 0 seconds.")
    assert MEANINGS[state] in page.text("#meaning")
    if state is State.STANDBY:
        assert "session 4711 at 10.1.2.3" in page.text("#meaning")
    row = page.text("#collections tbody tr .word")
    assert row == (state.value.replace("_", " ") if not shown.around.watch.service_view().is_moving else "streaming")
    told = page.texts("#notices li")
    assert bool(told) == (state in {State.PAUSED, State.WAITING, State.FAILED, State.RESYNC_REQUIRED}), told
    tones = {State.STREAMING: GOOD, State.WAITING: CRITICAL, State.RESYNC_REQUIRED: CRITICAL, State.FAILED: CRITICAL}
    if state in tones:
        for dot in ("#state", "#pulse"):
            shade = f"getComputedStyle(document.querySelector('{dot}'), '::before').backgroundColor"
            assert page.page.evaluate(shade) == tones[state], dot


def test_everything_a_healthy_service_says_is_on_the_page(shown: Shown) -> None:
    around = shown.around
    around.lead(checkpoint=90_000, operation=90_007, oldest=3_600)
    around.see_database(
        database(
            collection("Orders", rows=1_234_567),
            collection("Customers", CollectionState.SNAPSHOTTING, documents=2_500, expected=10_000),
            leader=leader(),
            last_reconciliation=LastReconciliation(NOW - timedelta(hours=2), 0, 0, 1_300_000),
            marts=(
                MartView(
                    *("user_activity", NOW, NOW - timedelta(minutes=30), 1.5, 4_321, 12, 34, 5, 0),
                    source_time=NOW - timedelta(seconds=90),
                    warnings=("2 values of EventLogs.timestamp did not fit", "b", "c", "d"),
                ),
            ),
        )
    )
    around.commit(90_000, {("Orders", "insert"): 50}, rows=80)
    around.now += 5
    around.see_source(90_007, 3_600, measurements="timeseries")
    page = shown.visit()
    assert page.text("#stream") == "shop"
    assert page.text("#lag") == "7 s"
    assert page.text("#headroom") == "24 h"
    assert page.text("#letters") == "0"
    assert page.text("#differences") == "0"
    assert page.text("#differences-note") == "compared 2 h ago"
    customers, orders = page.texts("#collection-rows tr")
    assert customers.startswith("Customers customers reading, 25 %")
    assert orders.startswith("Orders orders, orders_lines, orders_tags streaming 1,234,567 10 ")
    assert "measurements (timeseries)" in page.text("#unsupported")
    assert page.facts("#reconciliation")["Documents"] == "1,300,000"
    assert page.text("#marts li") == (
        "mart.user_activity 30 min ago 4,321 rows, 12 new, 34 with a new version, 5 closed; as of 12:00:00, of MongoDB "
        "at 11:58:30 4 warnings: 2 values of EventLogs.timestamp did not fit; b; c; and 1 more"
    )
    assert page.facts("#instance")["Lease"] == "session 4711 at 10.1.2.3, since 09:00:00"
    assert page.texts("#notices li") == []


def test_a_snapshot_shows_how_far_it_is_and_how_long_it_takes(shown: Shown) -> None:
    around = shown.around
    around.lead()
    for documents in (1_000, 3_000):
        around.see_database(
            database(
                collection("Orders", CollectionState.SNAPSHOTTING, documents=documents, expected=10_000),
                collection("Waiting", CollectionState.SNAPSHOTTING, documents=0, expected=10),
            )
        )
        around.now += 2
    page = shown.visit()
    assert page.texts("#collection-rows .word") == ["30 %, 7 s left", "waits for its turn"]
    bar = page.page.get_by_role("progressbar", name="Snapshot of Orders")
    assert bar.get_attribute("aria-valuenow") == "30"
    width, whole = (
        bar.locator(path).evaluate("each => each.getBoundingClientRect().width") for path in ("span", "xpath=.")
    )
    assert width / whole == pytest.approx(0.3, abs=0.01)


def test_dead_letters_come_with_their_reasons_and_the_commands(shown: Shown) -> None:
    shown.around.lead()
    reason = 'new row violates check constraint "positive" (SQLSTATE 23514)'
    groups = (DeadLetterGroup("Orders", reason, 40, NOW - timedelta(minutes=9)), DeadLetterGroup("Carts", "…", 1, NOW))
    shown.around.see_database(
        database(collection("Orders", dead_letters=40), dead_letters=43, dead_letter_groups=groups)
    )
    page = shown.visit()
    assert page.texts("#reasons li") == [f"40 Orders {reason} 9 min ago", "1 Carts … now"]
    assert page.text("#letters-empty") == "2 letters more."
    assert "replicator dead-letters retry --all" in page.text("#letters-commands")
    assert page.texts("#notices code") == ["replicator dead-letters list"]


def test_the_schema_tells_what_does_not_fit_and_what_is_new(shown: Shown) -> None:
    shown.around.lead()
    first, last = NOW - timedelta(days=2), NOW - timedelta(minutes=9)
    found = (
        SchemaFinding(HOSTILE, "details.user_id", FindingKind.MISFIT, first, last, 1_200),
        SchemaFinding("Orders", "old", FindingKind.GONE, first, last, 3),
        *(SchemaFinding("Orders", f"new{each}", FindingKind.NEW_FIELD, first, last, 1) for each in range(20)),
    )
    groups: tuple[FindingGroup, ...] = (
        FindingGroup(HOSTILE, FindingKind.MISFIT, 1, 1_200),
        FindingGroup("Orders", FindingKind.GONE, 1, 3),
    )
    groups += (FindingGroup("Orders", FindingKind.NEW_FIELD, 30, 30),)
    shown.around.see_database(database(collection("Orders"), findings=found, finding_groups=groups))
    page = shown.visit()
    assert page.texts("#schema li")[:3] == [
        f"1,200 {HOSTILE} details.user_id does not fit its column 9 min ago",
        "3 Orders old in no document any more 9 min ago",
        "1 Orders new0 in no column 9 min ago",
    ]
    assert page.text("#schema-empty") == "20 fields more."
    assert "replicator mapping drift" in page.text("#schema-commands")
    shown.around.see_database(database(collection("Orders")))
    wait_until(lambda: page.text("#schema-empty") == "Every field has a column, and every value fits.")


def test_differences_that_remain_are_named_with_the_repair(shown: Shown) -> None:
    shown.around.lead()
    groups = (
        DifferenceGroup("Orders", DifferenceKind.MISSING, 2),
        DifferenceGroup("Orders", DifferenceKind.DIFFERENT, 1),
    )
    last = LastReconciliation(NOW, 5, 2, 900, groups)
    shown.around.see_database(database(collection("Orders"), last_reconciliation=last))
    page = shown.visit()
    assert page.text("#differences") == "3"
    assert page.texts("#outstanding li") == [
        "2 Orders missing: a document without its row",
        "1 Orders different: other contents",
    ]
    assert page.facts("#reconciliation")["Result"] == "3 documents differ"
    assert page.texts("#notices code") == ["replicator reconcile --repair"]
    assert page.page.title().startswith("⚠ ")


def test_no_repair_is_offered_where_all_that_differs_are_dead_letters(shown: Shown) -> None:
    shown.around.lead()
    letters = DifferenceGroup("Orders", DifferenceKind.MISSING, 2, are_dead_letters=True)
    last = LastReconciliation(NOW, 2, 0, 900, (letters,))
    shown.around.see_database(database(collection("Orders"), last_reconciliation=last))
    page = shown.visit()
    assert page.facts("#reconciliation")["Result"] == "2 documents differ"
    assert not page.page.is_visible("#reconciliation-commands")
    other = DifferenceGroup("Orders", DifferenceKind.DIFFERENT, 1)
    both = LastReconciliation(NOW, 3, 0, 900, (letters, other))
    shown.around.see_database(database(collection("Orders"), last_reconciliation=both))
    wait_until(lambda: "replicator reconcile --repair" in page.text("#reconciliation-commands"))


def test_a_server_that_is_away_is_told_with_what_happens_meanwhile(shown: Shown) -> None:
    shown.around.lead()
    shown.around.watch.source_missed("no MongoDB server can be reached")
    page = shown.visit()
    assert page.text("#notices li").startswith("MongoDB does not answer: no MongoDB server can be reached; last seen")
    assert page.facts("#instance")["MongoDB"] == "no MongoDB server can be reached"


def test_an_outage_is_red_everywhere_and_no_collection_streams(shown: Shown) -> None:
    around = shown.around
    around.lead(checkpoint=90_000, operation=90_000, oldest=1_000)
    around.see_database(database(collection("Orders"), collection("Left", CollectionState.PAUSED), leader=leader()))
    around.health.waits(SinkUnavailable("PostgreSQL cannot be reached", hint="Start it."))
    page = shown.visit()
    assert page.text("#meaning").startswith("Waiting for PostgreSQL")
    assert page.texts("#collection-rows .word") == ["paused", "waiting"]
    assert page.facts("#instance")["Role"] == "standby"
    (notice,) = page.texts("#notices li")
    assert notice.startswith("Waiting for PostgreSQL since 2026-03-04T12:00:00Z: PostgreSQL cannot be reached.")


def test_history_that_is_lost_is_told_in_words_with_the_very_command(shown: Shown) -> None:
    around = shown.around
    around.lead(checkpoint=1_000, operation=185_000_000, oldest=184_999_000)
    around.health.resync_required(
        ResyncRequired("the checkpoint is older than MongoDB's oplog", hint="Keep it longer.")
    )
    page = shown.visit()
    assert page.text("#headroom") == "lost"
    assert page.facts("#instance")["Role"] == "leader"
    (notice,) = page.texts("#notices li")
    assert notice.removesuffix(" copy").endswith("replicator resync --all")


def test_a_comparison_of_some_collections_does_not_show_as_one_of_all(shown: Shown) -> None:
    shown.around.lead()
    shown.around.see_database(
        database(collection("Orders"), last_reconciliation=LastReconciliation(NOW, 0, 0, 7, compared=2, collections=8))
    )
    page = shown.visit()
    assert page.text("#differences") == "0 in 2 of 8"
    assert page.facts("#reconciliation")["Collections"] == "2 of 8"
    assert page.facts("#reconciliation")["Result"] == "equal, as far as it was compared"


def test_the_headline_is_exact_only_where_it_is(shown: Shown) -> None:
    shown.around.lead()
    shown.around.see_database(database(collection("Orders", dead_letters=2), dead_letters=2))
    page = shown.visit()
    assert "exactly as it was at the checkpoint, but for 2 documents that PostgreSQL refused." in page.text("#meaning")
    assert page.facts("#instance")["Guarantee"] == "exact, except 2 documents that PostgreSQL refused"


def test_nothing_is_shown_as_zero_that_is_not_known(shown: Shown) -> None:
    page = shown.visit()
    assert (page.text("#lag"), page.text("#headroom"), page.text("#differences")) == ("unknown", "unknown", UNKNOWN)
    assert page.facts("#instance")["Lease"] == "nobody holds it"
    assert page.text("#collections-empty") == "None yet."


def test_texts_from_the_database_cannot_become_markup(shown: Shown) -> None:
    around = shown.around
    around.lead()
    around.health.failed(Fatal(HOSTILE, hint=HOSTILE))
    around.see_source(100, None, **{HOSTILE: HOSTILE})
    around.watch.source_missed(HOSTILE)
    around.see_database(
        database(
            collection(HOSTILE, table=HOSTILE),
            collection("__proto__"),
            dead_letters=1,
            dead_letter_groups=(DeadLetterGroup(HOSTILE, HOSTILE, 1, NOW),),
            leader=Leader(1, HOSTILE, HOSTILE, NOW),
            last_reconciliation=LastReconciliation(
                NOW, 1, 0, 1, (DifferenceGroup(HOSTILE, DifferenceKind.MISSING, 1),)
            ),
            marts=(MartView(HOSTILE, NOW, NOW, 1.0, 1, 0, 0, 0, 0),),
        )
    )
    page = shown.visit()
    page.wait_for("#collection-rows th", HOSTILE)
    for place in ("#notices", "#reasons", "#outstanding", "#marts", "#unsupported", "#instance"):
        assert HOSTILE in page.text(place), place
    assert page.page.locator("main img, main script").count() == 0
    assert page.page.title() == "⚠ Failed · shop"
    assert "__proto__" in page.texts("#collection-rows .collection")


def test_an_open_page_follows_the_service_without_being_loaded_again(shown: Shown) -> None:
    around = shown.around
    around.lead()
    around.see_database(database(collection("Orders")))
    page = shown.visit()
    page.page.evaluate("window.isTheSame = true")
    around.now += 9
    around.health.ticked("stream-reader")
    around.see_source(109)
    around.see_database(database(collection("Orders", rows=77), collection("Carts"), dead_letters=2))
    around.health.paused(is_paused=True)
    page.wait_for("#state", "Paused")
    page.wait_for("#lag", "9 s")
    assert page.texts("#collection-rows .collection") == ["Carts", "Orders"]
    assert "77" in page.texts("#collection-rows tr")[1]
    assert page.text("#letters") == "2"
    assert page.page.evaluate("window.isTheSame") is True


def test_a_service_that_does_not_answer_any_more_is_said_and_its_numbers_are_dimmed(browser: Browser) -> None:
    around = Surroundings()
    around.lead()
    routes = make_routes(around.watch.service_view, around.metrics, max_lag_seconds=30, version="1")
    with HttpServer(routes, host="127.0.0.1", port=0) as server:
        page = visit(browser, server.url)
        opacity = "getComputedStyle(document.getElementById('main')).opacity"
        assert page.page.evaluate(opacity) == "1"
        assert not page.page.locator("#silence").is_visible()
        port = server.port
    page.wait_for("#silence", "The service does not answer.")
    assert float(page.page.evaluate(opacity)) < 0.5
    assert page.page.get_by_role("alert").is_visible()
    with HttpServer(routes, host="127.0.0.1", port=port):
        page.page.locator("#silence").wait_for(state="hidden", timeout=10_000)
        assert page.page.evaluate(opacity) == "1"
    assert page.errors == []
    page.page.close()


def test_the_page_is_dark_for_those_who_prefer_it(shown: Shown) -> None:
    shown.around.lead()
    shades = {
        scheme: shown.visit(color_scheme=scheme).page.evaluate(
            "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + +b, 0)"
        )
        for scheme in ("light", "dark")
    }
    assert shades["light"] > 3 * 230
    assert shades["dark"] < 3 * 40


def test_nothing_has_to_be_scrolled_sideways_on_a_phone(shown: Shown) -> None:
    around = shown.around
    around.lead()
    around.health.failed(Fatal("x" * 300, hint="y" * 300))
    long = "AnExceedinglyLongNameOfACollectionThatNobodyWouldChooseButSomebodyHas" * 2
    around.see_database(
        database(
            collection(long, rows=10**12, dead_letters=10**6),
            collection("Orders", CollectionState.SNAPSHOTTING, documents=1, expected=9),
            dead_letters=10**6,
            dead_letter_groups=(DeadLetterGroup(long, "z" * 200, 10**6, NOW - timedelta(days=400)),),
            last_reconciliation=LastReconciliation(
                NOW, 10**6, 0, 10**12, (DifferenceGroup(long, DifferenceKind.UNEXPECTED, 10**6),)
            ),
            marts=(MartView(long, NOW, NOW, 1.0, 10**12, 1, 2, 3, 4),),
            leader=Leader(7, "x", "2001:0db8:85a3:0000:0000:8a2e:0370:7334", NOW),
        )
    )
    page = shown.visit()
    for width in (320, 360, 620, 800):
        page.page.set_viewport_size({"width": width, "height": 740})
        assert page.texts("#collection-rows .collection") == [long, "Orders"]
        assert page.is_as_wide_as_its_window(), width


def test_hundreds_of_collections_can_be_filtered_and_sorted(shown: Shown) -> None:
    shown.around.lead()
    many = [collection(f"Orders{number:03}", rows=number * 7 % 400) for number in range(400)]
    shown.around.see_database(database(*many))
    page = shown.visit()
    page.wait_for("#collection-count", "400")
    assert len(page.texts("#collection-rows tr")) == 400
    page.page.get_by_role("button", name="Rows, about").press("Enter")
    assert page.page.locator("th[aria-sort=descending]").inner_text().startswith("Rows, about")
    rows = [int(each) for each in page.texts("#collection-rows td.rows")]
    assert rows == sorted(rows, reverse=True)
    page.page.get_by_label("Filter").fill("ders12")
    assert page.texts("#collection-rows .collection") == sorted(
        (f"Orders{number:03}" for number in range(120, 130)), key=lambda name: -(int(name[-3:]) * 7 % 400)
    )
    assert page.text("#collection-count") == "10 of 400"
    page.page.get_by_label("Filter").fill("nothing like this")
    assert page.text("#collections-empty") == "No collection has this in its name."


def test_a_few_collections_need_no_filter(shown: Shown) -> None:
    shown.around.lead()
    shown.around.see_database(database(*(collection(f"c{number}") for number in range(15))))
    assert not shown.visit().page.get_by_label("Filter").is_visible()


def sample(second: int, **values: Any) -> Sample:
    return replace(Sample(second, 0, 100, 250, 4.5, 0, 120), **values)


def test_the_charts_show_the_last_minutes_and_go_on(shown: Shown) -> None:
    shown.around.lead()
    for second in range(90):
        shown.history.add(sample(second, lag_seconds=12 if second == 50 else None if 60 < second < 70 else 0))
    page = shown.visit()
    chart = page.page.locator("#chart-lag svg")
    chart.locator("path.line").wait_for()
    assert chart.get_attribute("aria-label") == "Lag over the last 2 minutes: now < 1 s, at most 12 s"
    line = chart.locator("path.line").get_attribute("d") or ""
    assert line.count("M") == 2
    assert page.text("#chart-throughput figcaption") == "Throughput 100 changes/s 250 rows/s"
    shown.history.add(sample(90, lag_seconds=30, events_per_second=7))
    page.wait_for("#chart-throughput figcaption", "7 changes/s")
    assert "at most 30 s" in (chart.get_attribute("aria-label") or "")
    chart.hover(position={"x": 5, "y": 20})
    assert page.text("#chart-lag .when") == "90 s ago"


def test_the_page_and_its_charts_ask_nobody_but_the_service(shown: Shown, browser: Browser) -> None:
    shown.around.lead()
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(shown.url)
    page.wait_for_selector("#state[data-state=streaming]")
    page.close()
    assert {url for url in asked if not url.startswith(shown.url)} == set()
    assert {url.removeprefix(shown.url).partition("?")[0] for url in asked} >= {"", "web/page.js", "status", "history"}


def test_a_change_of_state_is_read_aloud_and_nothing_else_is(shown: Shown) -> None:
    shown.around.lead()
    page = shown.visit()
    live = page.page.locator("[aria-live]").evaluate_all("each => each.map(one => one.id)")
    assert live == ["state", "notices"]
    page.page.evaluate(
        "window.heard = 0; new MutationObserver(() => window.heard++)"
        ".observe(document.getElementById('state'), {childList: true, characterData: true, subtree: true})"
    )
    shown.around.now += 40
    shown.around.health.ticked("stream-reader")
    shown.around.see_source(140)
    page.wait_for("#lag", "40 s")
    assert page.page.evaluate("window.heard") == 0
    shown.around.health.paused(is_paused=True)
    page.wait_for("#state", "Paused")
    assert page.page.evaluate("window.heard") > 0


def test_without_a_browser_it_is_said_what_to_install() -> None:
    with pytest.raises(DevstackError, match="no Chromium") as caught:
        find_chromium({"PATH": "/nowhere"})
    assert "apt-get install chromium" in caught.value.hint


def test_a_real_service_shows_the_numbers_of_its_status(
    browser: Browser, source: Source, sink: Sink, tmp_path: Path
) -> None:
    source.db.Orders.insert_many([{"_id": number} for number in range(300)])
    environ = {
        "REPLICATOR_MONGO_URI": source.uri,
        "REPLICATOR_MONGO_DATABASE": source.name,
        "REPLICATOR_POSTGRES_DSN": sink.dsn,
    }
    with Operator(environ, tmp_path).running() as service:
        service.wait_for_state("streaming")
        page = visit(browser, service.url)
        page.wait_for("#state", "Streaming")
        source.db.Orders.insert_many([{"_id": 300 + number} for number in range(40)])
        source.db.Carts.insert_one({"_id": 1})
        wait_until(lambda: set(service.status()["collections"]) == {"Orders", "Carts"}, message="both collections")
        wait_until(lambda: page.texts("#collection-rows .collection") == ["Carts", "Orders"], message="both rows")

        def rows() -> list[str]:
            return [f"{each['rows']:,}" for _, each in sorted(service.status()["collections"].items())]

        wait_until(lambda: page.texts("#collection-rows td.rows") == rows(), message="the rows")
        wait_until(
            lambda: page.facts("#instance")["Events since its start"] == str(service.status()["events_total"]),
            message="the number of events",
        )
        status = service.status()
        assert status["events_total"] >= 41
        assert page.text("#stream") == status["stream"] == source.name
        assert page.text("#letters") == str(status["dead_letters"])
        assert page.facts("#instance")["Role"] == status["role"] == "leader"
        page.page.locator("#chart-throughput path.line").first.wait_for(state="attached")
        assert page.errors == []
        page.page.close()


def test_a_command_is_copied_by_its_button(shown: Shown) -> None:
    shown.around.lead(checkpoint=90_000, operation=90_000, oldest=1_000)
    shown.around.health.paused(is_paused=True)
    page = shown.visit().page
    notice = page.locator("#notices li").filter(has_text="The stream is paused")
    assert notice.locator("code").text_content() == "replicator resume"
    notice.locator("button.copy").click()
    page.locator("button.copy", has_text="copied").wait_for()
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<textarea id=pasted></textarea>')")
    page.locator("#pasted").focus()
    page.keyboard.press("Control+V")
    assert page.locator("#pasted").input_value() == "replicator resume"


def test_notices_lead_to_their_runbooks_which_exist(shown: Shown) -> None:
    shown.around.lead(checkpoint=90_000, operation=90_000, oldest=1_000)
    shown.around.health.paused(is_paused=True)
    page = shown.visit().page
    aim = page.locator("#notices li").filter(has_text="The stream is paused").locator("a").get_attribute("href")
    assert aim == "https://wiki.example/runbooks#replicatorpaused"
    assert page.locator("#airflow").get_attribute("href") == "https://airflow.example/"
    script = (ROOT / "replicator_service/runtime/http/web/page.js").read_text(encoding="utf-8")
    named = re.findall(r': "(replicator[a-z]+)",', script)
    assert len(named) >= 10
    assert set(named) <= {name.lower() for name in alerts()}


def test_a_collection_shows_the_tables_of_its_arrays(shown: Shown) -> None:
    shown.around.lead(checkpoint=90_000, operation=90_000, oldest=1_000)
    shown.around.see_database(database(collection("Orders"), collection("constructor"), leader=leader()))
    visited = shown.visit()
    visited.wait_for("#collection-rows .collection", "Orders")
    assert visited.texts("#collection-rows .table") == ["constructor", "orders, orders_lines, orders_tags"]


@pytest.mark.parametrize(
    ("zone", "told"),
    [("UTC", "times: UTC"), ("Europe/Moscow", "times: Europe/Moscow (UTC+3)"), ("Asia/Kolkata", "(UTC+5:30)")],
)
def test_the_page_says_in_which_zone_its_times_are(shown: Shown, zone: str, told: str) -> None:
    shown.around.lead(checkpoint=90_000, operation=90_000, oldest=1_000)
    assert told in shown.visit(timezone_id=zone).text("#zone")


def test_a_spike_is_told_and_flattens_nothing(shown: Shown) -> None:
    shown.around.lead(checkpoint=90_000, operation=90_000, oldest=1_000)
    for second in range(200):
        shown.history.add(sample(second, commit_ms=40.0 + second % 9))
    shown.history.add(sample(200, commit_ms=90_000.0))
    page = shown.visit().page
    chart = page.locator("#chart-commit")
    assert chart.locator("text.spike").text_content() == "↑ 90 s"
    ticks = chart.locator("text.tick").all_text_contents()
    assert "0 ms" in ticks
    assert any(tick in ticks for tick in ("80 ms", "100 ms"))


@pytest.mark.parametrize("chart", ["#chart-lag", "#chart-throughput", "#chart-commit", "#chart-memory"])
def test_labels_of_axes_fit_beside_the_chart_whatever_the_font(shown: Shown, chart: str) -> None:
    shown.around.lead(checkpoint=90_000, operation=90_000, oldest=1_000)
    for second in range(100):
        shown.history.add(sample(second, commit_ms=123_456.0, lag_seconds=119.0))
    page = shown.visit().page
    page.locator(f"{chart} text.tick").first.wait_for()
    width, *rights = page.evaluate(
        """chart => {
            const box = document.querySelector(`${chart} svg`).getBoundingClientRect();
            const labels = [...document.querySelectorAll(`${chart} text.tick`)];
            for (const each of labels) each.style.fontFamily = "DejaVu Sans, Verdana, sans-serif";
            return [box.right, ...labels.map((each) => each.getBoundingClientRect().right)];
        }""",
        chart,
    )
    assert max(rights) <= width + 0.5
