"""The command `devstack`: real servers for a terminal."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from devstack import workbench
from devstack.binaries import find_mongod, find_postgres
from devstack.errors import DevstackError
from devstack.stack import running_stack

POSTGRES_VERSIONS = (18, 16)
_EXIT_FAILED = 3

app = typer.Typer(
    help="Run a real MongoDB replica set and a real PostgreSQL on this machine, without containers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Directory = Annotated[Path, typer.Option("--dir", help="Where the files of the servers are kept.")]
Json = Annotated[bool, typer.Option("--json", help="Print one line of JSON.")]

DIRECTORY = Path(".devstack")


@app.command()
def up(
    directory: Directory = DIRECTORY,
    members: Annotated[int, typer.Option(min=1, max=7, help="Nodes of the replica set.")] = 1,
    pg: Annotated[int, typer.Option(help="Version of PostgreSQL: 18 or 16.")] = POSTGRES_VERSIONS[0],
    mongo_port: Annotated[int | None, typer.Option(help="The first node's port. Default: a free one.")] = None,
    pg_port: Annotated[int | None, typer.Option(help="PostgreSQL's port. Default: a free one.")] = None,
    *,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="In the background, until `devstack down`.")] = False,
    as_json: Json = False,
) -> None:
    """Run both servers until Ctrl-C, or with --detach until `devstack down`; the files stay for the next time."""
    if detach:
        ports = {"--mongo-port": mongo_port, "--pg-port": pg_port}
        chosen = [text for name, port in ports.items() if port is not None for text in (name, str(port))]
        _tell(
            workbench.detach(directory, ["--members", str(members), "--pg", str(pg), *chosen]),
            as_json=as_json,
            last="`devstack down` ends both.",
        )
        return
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with (
        workbench.occupied(directory),
        running_stack(
            directory, members=members, postgres_version=pg, mongo_port=mongo_port, postgres_port=pg_port
        ) as stack,
    ):
        addresses = workbench.Addresses(
            mongo_uri=stack.mongo.uri,
            postgres_dsn=workbench.require_sink(stack.postgres),
            pid=os.getpid(),
            psql=_psql(pg),
        )
        workbench.announce(directory, addresses)
        _tell(addresses, as_json=as_json, last="Ctrl-C ends both.")
        while not ended.wait(0.5):
            if not stack.running:
                raise DevstackError(
                    "A server ended by itself.", hint=f"See {stack.postgres.log} and {stack.mongo.members[0].log}."
                )


@app.command()
def down(directory: Directory = DIRECTORY) -> None:
    """End the servers that run in the background; their files stay."""
    workbench.end(directory)


@app.command()
def env(directory: Directory = DIRECTORY, *, as_json: Json = False) -> None:
    """Print the addresses of the running servers as settings, for `eval "$(devstack env)"`."""
    addresses = workbench.find(directory)
    if as_json:
        _tell(addresses, as_json=True)
    else:
        typer.echo(addresses.exports(), nl=False)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def psql(context: typer.Context, directory: Directory = DIRECTORY) -> None:
    """Open PostgreSQL's own client on the replicated database; what follows goes to psql, such as `-c "select 1"`."""
    addresses = workbench.find(directory)
    sys.stdout.flush()
    os.execv(addresses.psql, [addresses.psql, addresses.postgres_dsn, "--no-psqlrc", "--pset=pager=off", *context.args])  # noqa: S606 - no shell


@app.command()
def fetch() -> None:
    """Fetch the server programs now, so that later starts need no network."""
    binaries()


@app.command()
def binaries() -> None:
    """Say which server programs are used."""
    mongod = find_mongod()
    typer.echo(f"MongoDB {mongod.version}  {mongod.mongod}  ({mongod.origin})")
    for version in POSTGRES_VERSIONS:
        postgres = find_postgres(version)
        typer.echo(f"PostgreSQL {postgres.version}  {postgres.bindir}  ({postgres.origin})")


def main() -> None:
    """Run the command line; an error is one message and exit code 3."""
    try:
        app()
    except DevstackError as error:
        typer.echo(f"devstack: {error}", err=True)
        sys.exit(_EXIT_FAILED)


def _tell(addresses: workbench.Addresses, *, as_json: bool, last: str = "") -> None:
    if as_json:
        typer.echo(json.dumps({"mongo_uri": addresses.mongo_uri, "postgres_dsn": addresses.postgres_dsn}))
        return
    typer.echo(f"MongoDB     {addresses.mongo_uri}")
    typer.echo(f"PostgreSQL  {addresses.postgres_dsn}")
    typer.echo(last)


def _psql(version: int) -> str:
    """The client of the same version; a distribution may have put it elsewhere."""
    beside = find_postgres(version).bindir / "psql"
    return str(beside) if beside.exists() else shutil.which("psql") or str(beside)
