"""``replicator run``: puts the service together, shows it, and ends it when a signal asks for that."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated

import typer

from replicator_service.app.failures import leave_behind
from replicator_service.app.indexes import IndexWork
from replicator_service.app.monitor import Monitor
from replicator_service.app.service import Service
from replicator_service.cli.addresses import From, MappingFile, To  # noqa: TC001 - read when the command is made
from replicator_service.cli.errors import unexpected
from replicator_service.cli.output import Json  # noqa: TC001 - read when the command is made
from replicator_service.configuration.configuration import load_configuration
from replicator_service.configuration.settings import LogFormat, Settings, unknown_variables
from replicator_service.core.compiled import path_told
from replicator_service.core.errors import ReplicatorError
from replicator_service.pipeline.term import keep_collector_out
from replicator_service.runtime.http.routes import make_routes
from replicator_service.runtime.http.server import HttpServer
from replicator_service.runtime.http.status import About
from replicator_service.runtime.judgement.service_view import Watch
from replicator_service.runtime.log.logging import Logger, make_logger, route_standard_logging
from replicator_service.runtime.log.masking import Mask, place_of
from replicator_service.runtime.log.progress_log import ProgressLog
from replicator_service.runtime.metrics.counters import Metrics
from replicator_service.runtime.state.activity import Activity
from replicator_service.runtime.state.health import Health
from replicator_service.runtime.state.history import History, Recorder, resident_bytes
from replicator_service.runtime.webhook.delivery import Deliveries, Delivery
from replicator_service.runtime.webhook.messages import Announcer
from replicator_service.runtime.webhook.webhook import DeliveryLog, Webhook

if TYPE_CHECKING:
    from collections.abc import Iterator

    from replicator_service.core.mapping.model import Mapping
    from replicator_service.pipeline.observer import Committed

DRAIN_SECONDS = 7.0
"""How long the batch in hand may take once a signal has come. What does not commit by then is rolled back and read
again at the next start: nothing is lost either way."""

_M_ARENA_MAX = -8
"""glibc, malloc.h; other C libraries ignore what they do not know."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def run_command(
    _from: From = None,
    _to: To = None,
    _mapping: MappingFile = None,
    http_host: Annotated[str | None, typer.Option("--http-host", help="Instead of REPLICATOR_HTTP_HOST.")] = None,
    http_port: Annotated[int | None, typer.Option("--http-port", help="Instead of REPLICATOR_HTTP_PORT.")] = None,
    log_level: Annotated[str | None, typer.Option("--log-level", help="Instead of REPLICATOR_LOG_LEVEL.")] = None,
    *,
    json: Json = False,
) -> None:
    """Replicate until SIGTERM or Ctrl-C; a second signal ends at once. With --json, log lines are JSON.

    All it needs is two addresses: replicator run --from mongodb://HOST/DATABASE --to postgresql://HOST/DATABASE
    """
    settings, mapping = load_configuration(
        http_host=http_host,
        http_port=http_port,
        log_level=log_level,
        log_format=LogFormat.JSON if json else None,
    )
    if mapping.selection.is_guarded:
        _leave_no_core_file()
    log = _logger(settings)
    for variable, meant in unknown_variables().items():
        log.warning("unknown setting", variable=variable, hint=f"Did you mean {meant}?" if meant else "")
    stopping = Stopping()
    keep_collector_out()
    _share_one_heap()
    with stopped_by_signals(stopping):
        code = serve(settings, mapping, log, stopping)
    sys.stdout.flush()
    sys.stderr.flush()
    if threading.active_count() > 1 or code:
        # A thread that hangs in a driver must not keep the process from ending.
        os._exit(code)


def _share_one_heap() -> None:
    """Let all threads allocate from one heap, where the C library can be told.

    Replies of up to 16 MB are made in one thread and freed in another: glibc gives each a heap of its own, and each
    keeps the holes. It saves 15 MiB of 205 in a first load of nested documents, and costs no time that can be measured.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)


def _leave_no_core_file() -> None:
    """Memory holds documents that may not cross, for as long as they are on their way: it is written nowhere."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


def serve(settings: Settings, mapping: Mapping, log: Logger, stopping: Stopping) -> int:
    """Run the service with everything around it until ``stopping`` is set or it fails and return the exit code."""
    release, hot_path = version("mongo-pg-replicator"), path_told()
    metrics = Metrics(version=release, stream=settings.mongo_database)
    activity = Activity(clock=time.monotonic)

    def on_commit(what: Committed) -> None:
        metrics.committed(what)
        activity.committed(what)

    health = Health(settings.mongo_database, clock=time.monotonic, on_commit=on_commit)
    watch = Watch(health, clock=time.monotonic, activity=activity)
    metrics.show(watch.service_view)
    history = History(began=time.monotonic())
    recorder = Recorder(watch.service_view, activity, history, clock=time.monotonic, memory=resident_bytes)
    routes = make_routes(
        watch.service_view,
        metrics,
        max_lag_seconds=settings.ready_max_lag_seconds,
        version=release,
        history=history,
        about=_about(settings, mapping),
    )
    with ExitStack() as around:
        server = around.enter_context(HttpServer(routes, host=settings.http_host, port=settings.http_port))
        log.info(
            "service started",
            version=release,
            stream=settings.mongo_database,
            mapping=str(settings.mapping) if settings.mapping else "none: every collection is a document table",
            mongodb=place_of(settings.mongo_uri.get_secret_value()),
            postgresql=place_of(settings.postgres_dsn.get_secret_value()),
            page=server.url,
            hot_path=hot_path,
            pid=os.getpid(),
        )
        monitor = Monitor(settings, mapping, watch, log=log)
        around.callback(monitor.stop)
        monitor.start()
        indexes = IndexWork(settings, mapping, health, log=log)
        around.callback(indexes.stop)
        indexes.start()
        progress_log = ProgressLog(watch.service_view, metrics, log)
        around.callback(progress_log.stop)
        progress_log.start()
        around.callback(recorder.stop)
        recorder.start()
        _announce(settings, watch, health, log, around)
        work = _Work(Service(settings, mapping, health=health, log=log), stopping, settings)
        work.start()
        has_ended = work.wait(log)
        progress_log.poll()
        return work.told(log, progress_log.totals(), has_ended=has_ended)


def _announce(settings: Settings, watch: Watch, health: Health, log: Logger, around: ExitStack) -> None:
    """Tell the webhook, where there is one, until the end of the service and of its end."""
    if settings.webhook_url is None:
        return
    lines = DeliveryLog(log)

    def told(deliveries: Deliveries) -> None:
        health.delivered(deliveries)
        lines(deliveries)

    announcer = Announcer(max_lag_seconds=settings.ready_max_lag_seconds, wall_clock=lambda: datetime.now(UTC))
    delivery = Delivery(settings.webhook_url.get_secret_value(), told=told)
    webhook = Webhook(watch.service_view, announcer, delivery, instance=f"{socket.gethostname()}:{os.getpid()}")
    around.callback(webhook.stop)
    webhook.start()


def _about(settings: Settings, mapping: Mapping) -> About:
    tables = {typed.collection: [child.table for child in typed.children] for typed in mapping.collections}
    return About(settings.runbooks_url, settings.airflow_url, {name: found for name, found in tables.items() if found})


class _Work:
    """The service in a thread of its own, so that the main thread is always free for signals."""

    def __init__(self, service: Service, stopping: Stopping, settings: Settings) -> None:
        self._service = service
        self._settings = settings
        self._stopping = stopping
        self._error: ReplicatorError | None = None
        self._is_done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wait(self, log: Logger) -> bool:
        """Wait for the end, once asked to stop at most for ``DRAIN_SECONDS``; whether it has come."""
        while not self._stopping.is_set() and not self._is_done.wait(0.2):
            pass
        if self._stopping.is_set():
            log.info("stopping", signal=self._stopping.signal)
        return self._is_done.wait(DRAIN_SECONDS)

    def told(self, log: Logger, totals: dict[str, int], *, has_ended: bool) -> int:
        """Say how it ended and return the exit code."""
        if not has_ended:
            log.warning(
                "service stopped before it had drained",
                waited_seconds=DRAIN_SECONDS,
                hint="Nothing is lost: what was not committed is read again at the next start.",
                **totals,
            )
            return 0
        if self._error is None:
            log.info("service stopped", **totals)
            return 0
        log.error("service failed", cause=self._error.message, hint=self._error.hint, exit_code=self._error.exit_code)
        return self._error.exit_code

    def _run(self) -> None:
        try:
            self._service.run(self._stopping)
        except ReplicatorError as error:
            self._error = error
        except Exception as error:  # noqa: BLE001 - the thread's end: whatever it is, the process reports it
            self._error = unexpected(error)
        finally:
            if self._error is not None and self._error.exit_code:
                leave_behind(self._settings, self._error)
            self._is_done.set()


class Stopping(threading.Event):
    """Set by a signal, whose name it keeps."""

    signal: str | None = None


@contextmanager
def stopped_by_signals(stopping: Stopping) -> Iterator[None]:
    """The first signal asks to stop, the second ends the process at once.

    The handler writes no line: it may interrupt one that this thread writes, whose lock it would wait for for ever.
    """

    def on_signal(number: int, _frame: object) -> None:
        if stopping.is_set():
            os._exit(128 + number)
        stopping.signal = signal.Signals(number).name
        stopping.set()

    before = {number: signal.signal(number, on_signal) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _logger(settings: Settings) -> Logger:
    form = settings.log_format
    log = make_logger(
        is_json=None if form is LogFormat.AUTO else form is LogFormat.JSON,
        level=settings.log_level,
        mask=Mask((settings.mongo_uri.get_secret_value(), settings.postgres_dsn.get_secret_value())),
    )
    route_standard_logging(log)
    return log
