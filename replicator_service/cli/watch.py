"""Looking again and again: a live screen on a terminal, a line each time elsewhere. Ctrl-C ends it, and is no error."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.live import Live

from replicator_service.cli.output import console, print_json_line, print_text, printable
from replicator_service.cli.screen import Screen
from replicator_service.cli.status_source import Recent, Source
from replicator_service.core.errors import ReplicatorError
from replicator_service.core.words import counted, spelled

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Watching:
    """Looks at ``source`` every ``interval`` seconds until somebody presses Ctrl-C.

    The first look has to succeed: raises :class:`ReplicatorError`. Later ones may fail and are shown as what they are.
    """

    source: Source
    interval: float

    def on_screen(self) -> None:
        """A screen that is drawn again each time, and leaves the terminal as it was."""
        recent = Recent(self.source)
        status = self.source.status()
        with _ended_by_signals(), Live(console=console(), auto_refresh=False, screen=True) as live:
            while True:
                recent.update()
                live.update(_screen(status, recent, f"{self.source.address}   Ctrl-C leaves"), refresh=True)
                time.sleep(self.interval)
                status = self._next(status)

    def in_lines(self, *, is_json: bool) -> None:
        """A line each time, for programs and for logs."""
        status = self.source.status()
        with _ended_by_signals():
            while True:
                if is_json:
                    print_json_line(status)
                else:
                    print_text(line(status))
                time.sleep(self.interval)
                status = self._next(status)

    def _next(self, before: Json) -> Json:
        try:
            return self.source.status()
        except ReplicatorError as error:
            return _silent(before, error)


def _screen(status: Json, recent: Recent, footer: str) -> Screen:
    return Screen(printable(status), recent.series, recent.next, footer, fits=True)


def line(status: Json) -> str:
    """A status in one line."""
    status = printable(status)
    lag = status.get("lag_seconds")
    rates = [each.get("events_per_second") or 0.0 for each in (status.get("collections") or {}).values()]
    parts = [
        f"{status['time'][:19]}Z {status['stream']} {status['state'].replace('_', ' ')}",
        f"lag {'unknown' if lag is None else spelled(lag)}",
        f"{sum(rates):.0f} changes/s",
        counted(status.get("dead_letters") or 0, "dead letter"),
    ]
    return ", ".join([*parts, *(each["message"] for each in (status.get("notices") or [])[:1])])


def _silent(before: Json, error: ReplicatorError) -> Json:
    """What was known, with why nothing newer is."""
    notice = {
        "severity": "critical",
        "subject": "service",
        "message": f"{error.message[:1].upper()}{error.message[1:]}. What is shown is what was last known.",
        "hint": error.hint,
        "command": None,
    }
    others = [each for each in before.get("notices") or [] if each["subject"] != "service"]
    told = {"class": type(error).__name__, "message": error.message, "hint": error.hint}
    return before | {"lag_seconds": None, "error": told, "notices": [notice, *others]}


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Both signals leave the block as if it had ended, so that the terminal is put back."""

    def leave(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, leave)
    try:
        with suppress(KeyboardInterrupt):
            yield
    finally:
        signal.signal(signal.SIGTERM, before)
