"""``make pictures``: the pictures of the docs, taken of a real system under real traffic.

Real servers, the service, Airflow and the shop's customers run for some minutes: customers come in bursts, some
documents are refused, the stream is held for a moment, both sides are compared and the marts loaded. Then Chromium
takes the pictures of the page and of Airflow, ``replicator status`` is drawn as a terminal shows it, and at last
PostgreSQL is taken away. ``--stay`` leaves everything else running, to look at the page by hand.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

import psycopg
import typer
from psycopg import sql
from pymongo import MongoClient
from rich.console import Console

from devstack.chromium import find_chromium, running_chromium
from devstack.demo.airflow_steps import REPLICATOR, run_the_dags, start_airflow
from devstack.demo.lag import LagMeter
from devstack.demo.screen import Screen
from devstack.demo.stage import MAPPING, POSTGRES_VERSION, ROOT, SINK, SOURCE, Stage
from devstack.demo.traffic import LiveTraffic, write_history
from devstack.errors import DevstackError
from devstack.ports import LOOPBACK, free_port
from devstack.scratch import scratch_directory
from devstack.service import ServiceOptions, ServiceProcess
from devstack.stack import running_stack
from replicator_service.cli.screen import Screen as StatusScreen
from replicator_service.cli.status_source import Recent, Source
from warehouse_jobs.marts import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from devstack.stack import Stack

DIRECTORY = ROOT / "docs" / "pictures"
_SCRATCH = ROOT / ".devstack" / "pictures"

_DOCUMENTS = 12_000
_RATE = 60.0
_SECONDS = 115.0
_POLL_SECONDS = 0.2
_BURSTS = ((10.0, 9.0, 300.0), (36.0, 16.0, 420.0), (84.0, 10.0, 650.0))
"""When a burst begins, how long it is, and its changes a second."""
_HELD = (62.0, 7.0)
"""When the stream is paused, and for how long."""
_REFUSED = 30.0
"""When reviews come whose rating PostgreSQL refuses."""

_MARTS = ("user_activity", "support_efficiency")


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture: its name, the window in CSS pixels, and what the reader prefers."""

    name: str
    width: int
    height: int
    scheme: Literal["light", "dark"]
    scale: float = 1.0


PICTURES = (
    Picture("page-light.png", 1040, 1000, "light"),
    Picture("page-dark.png", 1040, 1000, "dark"),
    Picture("page-phone.png", 390, 844, "light", 1.5),
)


WAITING = Picture("page-waiting.png", 1040, 560, "light")


@dataclass(frozen=True, slots=True)
class Run:
    """A run in Airflow: the address of its page, and who may see it."""

    url: str
    user: str
    password: str


def main() -> int:
    """Take the pictures and return the exit code."""
    parser = argparse.ArgumentParser(prog="devstack.pictures", description="Pictures of the page for the docs.")
    parser.add_argument("--to", type=Path, default=DIRECTORY, help="where the pictures go")
    parser.add_argument("--seconds", type=float, default=_SECONDS, help="how long there is traffic before")
    parser.add_argument("--stay", action="store_true", help="leave everything running until Ctrl-C")
    arguments = parser.parse_args()
    try:
        find_chromium()
        with scratch_directory(_SCRATCH, postgres_version=POSTGRES_VERSION) as directory, ExitStack() as ends:
            system = System(directory, ends)
            system.live(arguments.seconds)
            take(system.url, arguments.to, PICTURES)
            draw_status(system.url, arguments.to / "status-watch.svg")
            take_run(system.run_in_airflow(), arguments.to / "airflow-run.png")
            system.lose_postgresql()
            take(system.url, arguments.to, [WAITING])
            if arguments.stay:
                typer.echo(system.url)
                threading.Event().wait()
    except DevstackError as error:
        typer.echo(f"devstack.pictures: {error}\n{error.hint}", err=True)
        return 3
    except KeyboardInterrupt:
        return 130
    return 0


def take(url: str, directory: Path, pictures: Iterable[Picture]) -> None:
    """Take each picture of the page at ``url``, once it has shown what the service says."""
    directory.mkdir(parents=True, exist_ok=True)
    with running_chromium() as browser:
        for each in pictures:
            page = browser.new_page(
                viewport={"width": each.width, "height": each.height},
                color_scheme=each.scheme,
                device_scale_factor=each.scale,
            )
            page.goto(url)
            page.wait_for_selector("#state:not([data-state=''])")
            # A flat line has no height, so that it counts as hidden.
            page.wait_for_selector("#chart-lag svg path", state="attached")
            page.screenshot(path=directory / each.name)
            page.close()


def draw_status(url: str, file: Path) -> None:
    """Draw what ``replicator status --watch`` shows, as a terminal of 100 columns does."""
    source = Source(url, may_fall_back=False)
    recent = Recent(source)
    recent.update()
    terminal = Console(record=True, width=100, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    terminal.print(StatusScreen(source.status(), recent.series, recent.next))
    drawn = terminal.export_svg(title="replicator status --watch")
    # Fonts of other sites: whoever looks at the docs has one of their own.
    file.write_text(re.sub(r"@font-face \{.*?\}\s*|<!--.*?-->\s*", "", drawn, flags=re.DOTALL), encoding="utf-8")


def take_run(run: Run, file: Path) -> None:
    """Take the picture of a run's page in Airflow."""
    with running_chromium() as browser:
        page = browser.new_page(viewport={"width": 1180, "height": 620}, color_scheme="light")
        page.goto(run.url)
        # Without a token the page leads to the form, and back.
        page.locator("input[name=username]").fill(run.user)
        page.locator("input[name=password]").fill(run.password)
        page.locator("button[type=submit]").click()
        page.get_by_text("finish").first.wait_for(timeout=60_000)
        page.wait_for_load_state("networkidle")
        page.screenshot(path=file)


class System:
    """Servers, the service and customers, taken down by ``ends``."""

    def __init__(self, directory: Path, ends: ExitStack) -> None:
        self._directory = directory
        self._ends = ends
        self._users: list[LiveTraffic | LagMeter] = []
        self._stack: Stack = ends.enter_context(running_stack(directory, postgres_version=POSTGRES_VERSION))
        with psycopg.connect(self._stack.postgres.dsn(), autocommit=True) as connection:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(SINK)))
        self._dsn = self._stack.postgres.dsn(SINK)
        self._client = ends.enter_context(MongoClient[dict[str, Any]](self._stack.mongo.uri, tz_aware=True))
        write_history(self._client[SOURCE], _DOCUMENTS, datetime.now(UTC), lambda _: None)
        port = free_port()
        self.url = f"http://{LOOPBACK}:{port}/"
        options = ServiceOptions(self._stack.mongo.uri, self._dsn, SOURCE, port, MAPPING)
        # The charts remember what this process has done: the first load would dwarf everything that comes after.
        with ServiceProcess(directory, options) as self._service:
            self._wait_for_rows()
        self._service = ends.enter_context(ServiceProcess(directory, options))

    def run_in_airflow(self) -> Run:
        """Start Airflow, run its DAGs, and give the run of the reconciliation."""
        self._take_back_what_is_refused()
        stage = Stage(self._directory, Screen(), self._ends)
        stage.stack, stage.client, stage.dsn, stage.service = self._stack, self._client, self._dsn, self._service
        stage.url = self.url.rstrip("/")
        start_airflow(stage, lambda _: None)
        run_the_dags(stage, lambda _: None)
        (run, *_) = stage.airflow.api.runs(REPLICATOR)
        address = f"{stage.airflow.url}/dags/{REPLICATOR}/runs/{quote(run.run_id)}"
        return Run(address, stage.airflow.user, stage.airflow.password)

    def lose_postgresql(self) -> None:
        """Take PostgreSQL away, and wait until the service says that it waits for it."""
        for each in self._users:
            each.stop()
        self._stack.postgres.kill()
        service = Source(self.url, may_fall_back=False)
        self._until(lambda: service.status()["state"] == "waiting", "The service does not wait.")

    def live(self, seconds: float) -> None:
        """Let customers in, and let happen what happens to a shop; afterwards they go on coming."""
        meter = LagMeter(self._dsn, SOURCE)
        self._ends.callback(meter.stop)
        self._users.append(meter)
        meter.start()
        self._customers(_RATE, meter)
        programme: list[tuple[float, Callable[[], object]]] = [
            (_REFUSED, self._write_what_is_refused),
            (_HELD[0], lambda: self._replicator("pause")),
            (sum(_HELD), lambda: self._replicator("resume")),
            (5.0, self._load_marts),
            (24.0, lambda: self._replicator("reconcile")),
        ]
        for begin, length, rate in _BURSTS:
            programme.append((begin, lambda rate=rate, length=length: self._burst(rate, length, meter)))  # type: ignore[misc]  # mypy infers no default of a lambda
        began = time.monotonic()
        for at, action in sorted(programme, key=lambda each: each[0]):
            self._sleep_until(began + at)
            action()
        self._sleep_until(began + seconds)

    def _customers(self, rate: float, meter: LagMeter) -> LiveTraffic:
        traffic = LiveTraffic(self._stack.mongo.uri, SOURCE, rate=rate, lag=meter)
        self._users.append(traffic)
        self._ends.callback(traffic.stop)
        traffic.start()
        return traffic

    def _burst(self, rate: float, seconds: float, meter: LagMeter) -> None:
        traffic = self._customers(rate, meter)
        threading.Timer(seconds, traffic.stop).start()

    def _write_what_is_refused(self) -> None:
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            connection.execute(
                "alter table origin.moderation_queue add constraint rating_is_known check (rating between 1 and 5)"
            )
        reviews = [{"review_id": f"imported-{number}", "rating": 10 + number} for number in range(3)]
        self._client[SOURCE]["ModerationQueue"].insert_many(reviews)

    def _take_back_what_is_refused(self) -> None:
        """Otherwise the reconciliation would end as it has to: with documents that are missing."""
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            connection.execute("alter table origin.moderation_queue drop constraint rating_is_known")
            self._replicator("dead-letters", "retry", "--all")
            query = "select count(*) = 0 from replicator.dead_letter"
            self._until(lambda: self._is_true(connection, query), "Dead letters remain.")

    def _load_marts(self) -> None:
        # The day before, and now: so that there is something to have changed.
        for before in (timedelta(days=1), timedelta()):
            for mart in _MARTS:
                load(self._dsn, mart, datetime.now(UTC) - before)

    def _wait_for_rows(self) -> None:
        query = "select coalesce(bool_and(state = 'streaming'), false) from replicator.collection"
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            self._until(lambda: self._is_true(connection, query), "The service did not finish its first load.")

    def _until(self, is_so: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + 60
        while not is_so():
            self._service.require_running()
            if time.monotonic() > deadline:
                raise DevstackError(otherwise, hint=f"See {self._service.log}.")
            time.sleep(_POLL_SECONDS)

    @staticmethod
    def _is_true(connection: psycopg.Connection[tuple[Any, ...]], query: str) -> bool:
        try:
            row = connection.execute(query).fetchone()
        except psycopg.errors.UndefinedTable:
            return False
        return bool(row and row[0])

    def _sleep_until(self, due: float) -> None:
        while (left := due - time.monotonic()) > 0:
            self._service.require_running()
            time.sleep(min(left, 0.5))

    def _replicator(self, *command: str) -> None:
        environ = {
            "PATH": os.environ.get("PATH", os.defpath),
            "REPLICATOR_MONGO_URI": self._stack.mongo.uri,
            "REPLICATOR_POSTGRES_DSN": self._dsn,
            "REPLICATOR_MONGO_DATABASE": SOURCE,
            "REPLICATOR_MAPPING": str(MAPPING),
        }
        program = Path(sys.executable).with_name("replicator")
        ended = subprocess.run(  # noqa: S603 - our own program
            [program, *command], env=environ, capture_output=True, text=True, check=False, timeout=60
        )
        if ended.returncode:
            told = ended.stdout + ended.stderr
            raise DevstackError(f"replicator {' '.join(command)} ended with {ended.returncode}.", hint=told[-1_500:])


if __name__ == "__main__":
    sys.exit(main())
