"""``replicator status``: asks the running service, and where none answers, PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from replicator_service.cli.output import Json, console, print_json, printable, wants_json
from replicator_service.cli.status_source import STOPPED, Recent, Source
from replicator_service.configuration.environment import load_http_address
from replicator_service.core.errors import Fatal, ResyncRequired, Retryable
from replicator_service.runtime.state.health import State

if TYPE_CHECKING:
    from collections.abc import Mapping

_EXIT_CODES: Mapping[str, int] = {
    State.WAITING: Retryable.exit_code,
    STOPPED: Retryable.exit_code,
    State.RESYNC_REQUIRED: ResyncRequired.exit_code,
    State.FAILED: Fatal.exit_code,
}


def status_command(
    context: typer.Context,
    url: Annotated[
        str | None, typer.Option("--url", help="Address of the service, instead of the one in the settings.")
    ] = None,
    interval: Annotated[
        float, typer.Option("--interval", min=0.2, help="Seconds between updates, with --watch.")
    ] = 1.0,
    *,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Look again and again, until Ctrl-C.")] = False,
    json: Json = False,  # noqa: ARG001 - read from the context
) -> None:
    """Show what the service does, how far each collection is, and what is wrong.

    Exit code 0 while replication does what it should; 3 while it waits for a server or nothing runs, 4 when a resync is
    required, 5 when the service has failed.

    With --watch: a live screen on a terminal; elsewhere, and with --json, a line for each update.
    """
    source = Source(url, may_fall_back=False) if url else Source(load_http_address().url)
    if watch:
        from replicator_service.cli.watch import Watching

        watching = Watching(source, interval)
        out = console()
        if out.is_terminal and not out.is_dumb_terminal and not wants_json(context):
            watching.on_screen()
        else:
            watching.in_lines(is_json=wants_json(context))
        return
    found = source.status()
    if wants_json(context):
        print_json(found)
    else:
        from replicator_service.cli.screen import Screen

        recent = Recent(source)
        recent.update()
        console().print(Screen(printable(found), recent.series, recent.next))
    if code := _EXIT_CODES.get(found["state"]):
        raise typer.Exit(code)
