"""The HTTP server: its port, its address, its end."""

from __future__ import annotations

import http.client
import socket

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from replicator_service.core.errors import ConfigurationError
from replicator_service.runtime.http.server import HttpServer


def application() -> Starlette:
    return Starlette(routes=[Route("/", lambda _request: PlainTextResponse("here"))])


def body(port: int) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read()
    finally:
        connection.close()


def test_port_0_takes_a_free_port_that_can_be_asked_for() -> None:
    with HttpServer(application(), host="127.0.0.1", port=0) as server:
        assert server.port > 0
        assert server.url == f"http://127.0.0.1:{server.port}/"
        assert body(server.port) == b"here"


def test_a_server_on_every_interface_is_found_on_this_machine() -> None:
    with HttpServer(application(), host="0.0.0.0", port=0) as server:  # noqa: S104 - the case under test
        assert server.url == f"http://127.0.0.1:{server.port}/"


def test_the_port_is_free_again_after_the_end() -> None:
    with HttpServer(application(), host="127.0.0.1", port=0) as first:
        port = first.port
        body(port)
    with HttpServer(application(), host="127.0.0.1", port=port) as second:
        assert body(second.port) == b"here"


def test_a_port_in_use_is_told_with_the_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"port {port} on 127.0.0.1 is in use") as caught:
            HttpServer(application(), host="127.0.0.1", port=port)
    assert "REPLICATOR_HTTP_PORT" in caught.value.hint


def test_a_host_that_is_not_known_is_told_with_the_setting() -> None:
    with pytest.raises(ConfigurationError) as caught:
        HttpServer(application(), host="no such host", port=0)
    assert "REPLICATOR_HTTP_HOST" in caught.value.hint


def test_stopping_twice_and_stopping_before_the_start_do_nothing() -> None:
    server = HttpServer(application(), host="127.0.0.1", port=0)
    server.stop()
    server.stop()
