"""Log lines: facts in fields, never a secret, never a value of a document."""

from __future__ import annotations

import io
import json
import logging
import re
from typing import TYPE_CHECKING, Any

import pytest

from replicator_service.runtime.log.logging import make_logger, route_standard_logging
from replicator_service.runtime.log.masking import Mask

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def untouched_root() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:], root.level = handlers, level


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_json_where_nobody_looks(stream: io.StringIO) -> None:
    make_logger(stream=stream).info("state changed", state="streaming", lag_seconds=0.5)
    (line,) = lines(stream)
    assert line["event"] == "state changed"
    assert (line["level"], line["state"], line["lag_seconds"]) == ("info", "streaming", 0.5)
    assert line["time"].endswith("Z")


def test_a_line_begins_with_when_how_bad_and_what(stream: io.StringIO) -> None:
    make_logger(stream=stream).info("state changed", state="streaming")
    assert list(lines(stream)[0]) == ["time", "level", "event", "state"]


def test_people_get_text(stream: io.StringIO) -> None:
    make_logger(is_json=False, stream=stream).info("state changed", state="streaming")
    assert "state changed" in stream.getvalue()
    assert "state=streaming" in stream.getvalue()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_text_with_colours_and_quotes_around_what_is_not_one_word() -> None:
    terminal = Terminal()
    make_logger(stream=terminal).warning("waiting", cause="it's away", count=2, page="http://host:1/")
    plain = re.sub(r"\x1b\[\d+m", "", terminal.getvalue())
    assert (
        re.sub(r"^\S+Z ", "", plain) == f'[warning  ] {"waiting":24} cause="it\'s away" count=2 page=http://host:1/\n'
    )
    assert "\x1b[33m" in terminal.getvalue()


def test_lines_below_the_level_are_not_written(stream: io.StringIO) -> None:
    log = make_logger(level="warning", stream=stream)
    log.info("quiet")
    log.warning("loud")
    assert [line["event"] for line in lines(stream)] == ["loud"]


def test_secrets_are_masked_in_every_field(stream: io.StringIO) -> None:
    address = "mongodb://admin:geheim@host/"
    make_logger(mask=Mask([address]), stream=stream).info(
        "waiting", cause=f"cannot reach {address}", part="'admin:geheim'"
    )
    assert "geheim" not in stream.getvalue()


def test_an_exception_is_its_type_and_its_places_but_not_its_text(stream: io.StringIO) -> None:
    log = make_logger(stream=stream)
    try:
        int("the card number is 4711")
    except ValueError as error:
        log.warning("monitor failed", exc_info=error)
    (line,) = lines(stream)
    assert line["exception"] == "ValueError"
    assert any("test_log_lines.py" in place for place in line["trace"])
    assert "4711" not in stream.getvalue()


@pytest.mark.usefixtures("untouched_root")
def test_libraries_are_routed_and_their_debug_lines_with_documents_are_not(stream: io.StringIO) -> None:
    route_standard_logging(make_logger(level="debug", stream=stream))
    logging.getLogger("pymongo.command").debug("insert of a secret document")
    logging.getLogger("uvicorn.access").info("GET /livez")
    logging.getLogger("uvicorn.error").error("bad request")
    logging.getLogger("some.library").warning("take care of %s", "this")
    assert [(line["library"], line["text"]) for line in lines(stream)] == [
        ("uvicorn.error", "bad request"),
        ("some.library", "take care of this"),
    ]
