"""The command `devstack`: real servers for a terminal."""

from __future__ import annotations

import json
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from devstack.binaries import find_mongod, find_postgres
from devstack.errors import DevstackError
from devstack.stack import running_stack

POSTGRES_VERSIONS = (18, 16)
_EXIT_FAILED = 3

app = typer.Typer(
    help="Run a real MongoDB replica set and a real PostgreSQL on this machine, without containers.",
    no_args_is_help=True,
    add_completion=False,
)


@app.command()
def up(
    directory: Annotated[Path, typer.Option("--dir", help="Where the files are kept.")] = Path(".devstack"),
    members: Annotated[int, typer.Option(min=1, max=7, help="Nodes of the replica set.")] = 1,
    pg: Annotated[int, typer.Option(help="Version of PostgreSQL: 18 or 16.")] = POSTGRES_VERSIONS[0],
    mongo_port: Annotated[int | None, typer.Option(help="The first node's port. Default: a free one.")] = None,
    pg_port: Annotated[int | None, typer.Option(help="PostgreSQL's port. Default: a free one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,  # noqa: FBT002 - a flag
) -> None:
    """Run both servers in the foreground until Ctrl-C; the files stay for the next time."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with running_stack(
        directory, members=members, postgres_version=pg, mongo_port=mongo_port, postgres_port=pg_port
    ) as stack:
        addresses = {"mongo_uri": stack.mongo.uri, "postgres_dsn": stack.postgres.dsn()}
        if as_json:
            typer.echo(json.dumps(addresses))
        else:
            typer.echo(f"MongoDB     {addresses['mongo_uri']}")
            typer.echo(f"PostgreSQL  {addresses['postgres_dsn']}")
            typer.echo("Ctrl-C ends both.")
        while not ended.wait(0.5):
            if not stack.running:
                raise DevstackError(
                    "A server ended by itself.", hint=f"See {stack.postgres.log} and {stack.mongo.members[0].log}."
                )


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
