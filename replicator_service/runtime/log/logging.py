"""Log lines: a constant message, and values in fields, for people on a terminal and as JSON elsewhere.

No global state but the standard library's own: a logger is a value that is passed on. Values of documents, keys and
secrets never reach a line: drivers' loggers, which could quote statements, stay at warnings, exceptions are shown as
their type and the places they passed, and every string is masked.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

from replicator_service.core.times import time_text
from replicator_service.runtime.log.traces import trace_of

if TYPE_CHECKING:
    from collections.abc import Callable

Line = dict[str, Any]
"""``time`` (aware, in UTC), ``level`` and ``event``, which stand first, and the fields in the order they were given."""

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_COLOURS = {"debug": 32, "info": 32, "warning": 33, "error": 31}
_EVENT_WIDTH = 24
_QUIET = {
    "uvicorn": logging.WARNING,
    "uvicorn.error": logging.WARNING,
    "uvicorn.access": logging.CRITICAL,
    # Its debug lines quote whole commands and documents.
    "pymongo": logging.WARNING,
    "psycopg": logging.ERROR,
    # Says once a second that a server is away; the monitor says it in our own words.
    "psycopg.pool": logging.CRITICAL,
    "asyncio": logging.WARNING,
}


class Logger:
    """Writes lines of at least ``level`` to ``stream``, each in one piece whichever thread it comes from."""

    def __init__(
        self, stream: TextIO, render: Callable[[Line], str], *, level: str, mask: Callable[[str], str]
    ) -> None:
        self._stream = stream
        self._render = render
        self._level = _LEVELS[level]
        self._mask = mask
        self._lock = threading.Lock()

    def debug(self, event: str, **fields: object) -> None:
        """What only a developer looks for."""
        self._write("debug", event, fields)

    def info(self, event: str, **fields: object) -> None:
        """Something worth a line."""
        self._write("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Something an operator may want to look at."""
        self._write("warning", event, fields)

    def error(self, event: str, **fields: object) -> None:
        """Something that ends what was done."""
        self._write("error", event, fields)

    def _write(self, level: str, event: str, fields: dict[str, object]) -> None:
        if _LEVELS[level] < self._level:
            return
        line: Line = {"time": datetime.now(UTC), "level": level, "event": event, **fields}
        error = line.pop("exc_info", None)
        if isinstance(error, BaseException):
            # Its text stays out: a driver's error may quote the row that it is about.
            line |= {"exception": type(error).__name__, "trace": trace_of(error)}
        masked = {name: self._mask(value) if isinstance(value, str) else value for name, value in line.items()}
        text = self._render(masked) + "\n"
        with self._lock:
            self._stream.write(text)
            self._stream.flush()


def make_logger(
    *,
    is_json: bool | None = None,
    level: str = "info",
    mask: Callable[[str], str] = str,
    stream: TextIO | None = None,
) -> Logger:
    """Return a logger that writes to ``stream`` (standard error by default).

    ``is_json`` is None to choose: lines for people when the stream is a terminal, JSON otherwise.
    """
    target = stream or sys.stderr
    if target.isatty() if is_json is None else not is_json:
        render = _coloured if target.isatty() else _plain
    else:
        render = _json
    return Logger(target, render, level=level, mask=mask)


def route_standard_logging(logger: Logger) -> None:
    """Send what libraries log through ``logger``, and keep them quiet."""
    root = logging.getLogger()
    for existing in [each for each in root.handlers if isinstance(each, _Routed)]:
        root.removeHandler(existing)
    root.addHandler(_Routed(logger))
    root.setLevel(logging.WARNING)
    for name, level in _QUIET.items():
        library = logging.getLogger(name)
        library.setLevel(level)
        library.propagate = True


def _json(line: Line) -> str:
    time = line["time"].isoformat(timespec="microseconds").replace("+00:00", "Z")
    return json.dumps({**line, "time": time}, ensure_ascii=False, default=str)


def _plain(line: Line) -> str:
    return _for_people(line, lambda text, *_: text)


def _coloured(line: Line) -> str:
    return _for_people(line, lambda text, *codes: "".join(f"\x1b[{code}m" for code in codes) + f"{text}\x1b[0m")


def _for_people(line: Line, styled: Callable[..., str]) -> str:
    """``styled`` takes a text and the numbers of its looks, as ECMA-48 counts them (Select Graphic Rendition)."""
    time, level, event, *values = line.values()
    head = (
        styled(time_text(time), 2),
        f"[{styled(f'{level:9}', _COLOURS[level], 1)}]",
        styled(f"{event:{_EVENT_WIDTH}}", 1),
    )
    fields = (
        f"{styled(name, 36)}={styled(_value(value), 35)}"
        for name, value in zip(list(line)[len(head) :], values, strict=True)
    )
    return " ".join((*head, *fields))


def _value(value: object) -> str:
    """Text as it is where it is one word, otherwise in quotes."""
    return value if isinstance(value, str) and value and not set(value) & set(" \t\r\n=\"'") else repr(value)


class _Routed(logging.Handler):
    """A standard handler that hands records over to our logger."""

    def __init__(self, logger: Logger) -> None:
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        write = self._logger.error if record.levelno >= logging.ERROR else self._logger.warning
        write("library message", library=record.name, text=record.getMessage(), exc_info=error)
