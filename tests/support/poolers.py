"""What stands between clients and PostgreSQL: PgBouncer and HAProxy, the real programs of Debian's packages."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg

from devstack.account import unprivileged
from devstack.debian import find_program
from devstack.ports import LOOPBACK, PortTakenError, on_free_port, taken
from devstack.postgres import change_owner
from devstack.process import ServerProcess, remove_directory, temporary_directory
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from devstack.postgres import PostgresServer

_POOLER = """\
[databases]
* = host={host} port={server}
[pgbouncer]
listen_addr = {host}
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
pool_mode = {mode}
max_client_conn = 200
{options}
"""

_BALANCER = """\
global
    maxconn 200
defaults
    mode tcp
    timeout connect 2s
    timeout client 1h
    timeout server 1h
    timeout check 1s
listen postgres
    bind {host}:{port}
    option httpchk GET /primary
    http-check expect status 200
    default-server inter 100ms fall 2 rise 1 on-marked-down shutdown-sessions
{servers}
"""
"""As Patroni's manual has it: whoever answers that it is the primary gets the connections."""


@contextmanager
def pgbouncer(
    server: PostgresServer, *, mode: str, at: int | None = None, options: Mapping[str, str] | None = None
) -> Iterator[int]:
    """Run a PgBouncer before a server, on the port `at` or a free one and return its port. It ends at once."""
    directory = temporary_directory()
    users = directory / "users.txt"
    users.write_text(f'"postgres" "{server.password}"\n')
    configuration = directory / "pgbouncer.ini"
    for path in (directory, users):
        change_owner(path, unprivileged())

    def started(port: int) -> ServerProcess:
        lines = "\n".join(f"{name} = {value}" for name, value in (options or {}).items())
        named = {"host": LOOPBACK, "server": server.port, "port": port, "users": users, "mode": mode, "options": lines}
        configuration.write_text(_POOLER.format(**named))
        return _run("pgbouncer", "pgbouncer", [str(configuration)], directory, port)

    with _running(started, directory, at) as port:
        yield port


@contextmanager
def haproxy(servers: Sequence[PostgresServer]) -> Iterator[int]:
    """Run a HAProxy that leads to the one of the servers that is primary and return its port."""
    directory = temporary_directory()
    configuration = directory / "haproxy.cfg"
    with _looking_after(servers) as health:
        lines = [
            f"    server s{number} {LOOPBACK}:{server.port} check addr {LOOPBACK} port {port}"
            for number, (server, port) in enumerate(zip(servers, health, strict=True))
        ]

        def started(port: int) -> ServerProcess:
            configuration.write_text(_BALANCER.format(host=LOOPBACK, port=port, servers="\n".join(lines)))
            return _run("haproxy", "haproxy", ["-db", "-f", str(configuration)], directory, port)

        with _running(started, directory) as port:
            yield port


def through(dsn: str, port: int) -> str:
    """The same address by way of another port."""
    parts = urlsplit(dsn)
    return parts._replace(netloc=f"{parts.netloc.rpartition(':')[0]}:{port}").geturl()


def is_primary(server: PostgresServer) -> bool:
    """Whether a server answers, and takes writes."""
    try:
        with psycopg.connect(server.dsn(), connect_timeout=2) as connection:
            return connection.execute("select not pg_is_in_recovery()").fetchone() == (True,)
    except psycopg.OperationalError:
        return False


@contextmanager
def _looking_after(servers: Sequence[PostgresServer]) -> Iterator[list[int]]:
    """The part of Patroni that a balancer asks: an HTTP server for each, which knows whether it is the primary."""
    agents = [_agent(server) for server in servers]
    for agent in agents:
        threading.Thread(target=agent.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield [agent.server_port for agent in agents]
    finally:
        for agent in agents:
            agent.shutdown()
            agent.server_close()


def _agent(server: PostgresServer) -> ThreadingHTTPServer:
    class Agent(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if is_primary(server) else 503)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return ThreadingHTTPServer((LOOPBACK, 0), Agent)


def _run(name: str, package: str, arguments: list[str], directory: Path, port: int) -> ServerProcess:
    program = find_program(name, package)
    process = ServerProcess(
        [str(program.path), *arguments],
        directory=directory,
        log=directory / f"{name}.log",
        account=unprivileged(),
        libraries=program.libraries,
    )
    wait_until(lambda: taken(port) or not process.running, message=f"{name} to listen")
    if not process.running:
        raise PortTakenError(f"{name} did not start: {process.log_tail()}")
    return process


@contextmanager
def _running(started: Callable[[int], ServerProcess], directory: Path, at: int | None = None) -> Iterator[int]:
    try:
        port, process = on_free_port(started) if at is None else (at, started(at))
        try:
            yield port
        finally:
            process.stop(signal.SIGTERM, timeout=5)
    finally:
        remove_directory(directory)
