"""Log lines: a constant message and facts in fields, for people on a terminal and as JSON elsewhere.

No global state but the standard library's own: a logger is a value that is passed on. Values of documents, keys and
secrets never reach a line: drivers' loggers, which could quote statements, stay at warnings, exceptions are shown as
their type and the places they passed, and every string is masked.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, MutableMapping
from typing import Any, TextIO

import structlog

from replicator_service.core.times import FORMAT
from replicator_service.runtime.log.traces import trace_of

Line = MutableMapping[str, Any]

Logger = structlog.typing.FilteringBoundLogger

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
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


def make_logger(
    *,
    is_json: bool | None = None,
    level: str = "info",
    mask: Callable[[str], str] = str,
    stream: TextIO | None = None,
) -> Logger:
    """A logger that writes to ``stream`` (standard error by default).

    ``is_json`` is None to choose: lines for people when the stream is a terminal, JSON otherwise.
    """
    target = stream or sys.stderr
    is_console = target.isatty() if is_json is None else not is_json
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(
            colors=target.isatty(), pad_event_to=24, timestamp_key="time", sort_keys=False, repr_native_str=False
        )
        if is_console
        else structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
    )
    return structlog.wrap_logger(  # type: ignore[no-any-return]  # the library says Any
        structlog.WriteLogger(target),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt=FORMAT if is_console else "iso", utc=True, key="time"),
            show_exception,
            _Masking(mask),
            in_order,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
    )


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


def show_exception(_logger: object, _method: str, line: Line) -> Line:
    """Replace ``exc_info`` by the exception's type and the places it passed.

    Its text stays out: a driver's error may quote the row that it is about.
    """
    given = line.pop("exc_info", None)
    error = sys.exc_info()[1] if given is True else given
    if isinstance(error, tuple):
        error = error[1]
    if isinstance(error, BaseException):
        line["exception"] = type(error).__name__
        line["trace"] = trace_of(error)
    return line


def in_order(_logger: object, _method: str, line: Line) -> Line:
    """Put first what a reader looks for first."""
    first = {name: line.pop(name) for name in ("time", "level", "event") if name in line}
    return {**first, **line}


class _Masking:
    """Masks every string of a line."""

    def __init__(self, mask: Callable[[str], str]) -> None:
        self._mask = mask

    def __call__(self, _logger: object, _method: str, line: Line) -> Line:
        for name, value in line.items():
            if isinstance(value, str):
                line[name] = self._mask(value)
        return line


class _Routed(logging.Handler):
    """A standard handler that gives records to our logger."""

    def __init__(self, logger: Logger) -> None:
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        self._logger.log(
            record.levelno, "library message", library=record.name, text=record.getMessage(), exc_info=record.exc_info
        )
