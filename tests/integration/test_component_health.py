"""The health check of Airflow's containers reads the answer rather than its status."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest

from warehouse_jobs.orchestration.component_health import main

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def answering(body: bytes) -> Iterator[str]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/execution/"
        finally:
            server.shutdown()
            thread.join()


def health(**components: str | None) -> bytes:
    return json.dumps({name: {"status": status} for name, status in components.items()}).encode()


def test_a_component_that_is_well() -> None:
    with answering(health(scheduler="healthy", triggerer="unhealthy")) as server:
        assert main(["scheduler"], server) == 0


@pytest.mark.parametrize("status", ["unhealthy", None])
def test_a_component_that_is_not_well_although_the_answer_is(
    status: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    with answering(health(scheduler=status, metadatabase="healthy")) as server:
        assert main(["scheduler"], server) == 1
    assert capsys.readouterr().err == f"error: scheduler is {status or 'not there'}\n"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}"])
def test_an_answer_that_says_nothing(body: bytes) -> None:
    with answering(body) as server:
        assert main(["dag_processor"], server) == 1


def test_a_server_that_is_away(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scheduler"], "http://127.0.0.1:1/execution/") == 1
    assert "the API server does not say" in capsys.readouterr().err


def test_a_component_that_does_not_exist(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["worker"], "http://127.0.0.1:1") == 2
    assert "metadatabase, scheduler" in capsys.readouterr().err
