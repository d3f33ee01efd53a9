"""``snapshot pace``: how fast collections are read, changed while the service runs."""

from __future__ import annotations

from typing import Annotated

import typer

from replicator_service.cli.database import control_tables
from replicator_service.cli.output import Json, print_json, print_text, wants_json
from replicator_service.configuration.settings import load_settings
from replicator_service.core.errors import ConfigurationError
from replicator_service.core.sessions import Pace
from replicator_service.sink.control.snapshot_pace import read_pace, write_pace

snapshot_app = typer.Typer(help="How collections are read: the first load, and resyncs.", no_args_is_help=True)


@snapshot_app.callback()
def snapshot() -> None:
    """How collections are read: the first load, and resyncs."""


@snapshot_app.command("pace")
def pace_command(
    context: typer.Context,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, max=64, help="So many chunks are read at a time.")
    ] = None,
    max_mb_s: Annotated[
        float | None, typer.Option("--max-mb-s", help="So many megabytes of documents a second, at most; 0: no limit.")
    ] = None,
    *,
    reset: Annotated[bool, typer.Option("--reset", help="Go by the settings again.")] = False,
    json: Json = False,  # noqa: ARG001 - read from the context
) -> None:
    """Show how fast collections are read, or change it: within a second, also while the service runs."""
    if max_mb_s is not None and max_mb_s < 0:
        raise ConfigurationError("--max-mb-s is negative", hint="Give megabytes a second, or 0 for no limit.")
    if reset and (workers is not None or max_mb_s is not None):
        raise ConfigurationError(
            "--reset and a pace exclude each other", hint="Give --reset, or --workers and --max-mb-s."
        )
    settings = load_settings()
    stream = settings.mongo_database
    with control_tables(settings) as connection:
        before = Pace() if reset else read_pace(connection, stream)
        pace = Pace(before.workers if workers is None else workers, before.max_mb_s if max_mb_s is None else max_mb_s)
        if reset or workers is not None or max_mb_s is not None:
            write_pace(connection, stream, pace)
    effective = pace.over(Pace(settings.snapshot_workers, settings.snapshot_max_mb_s))
    if wants_json(context):
        print_json(
            {
                "stream": stream,
                "workers": effective.workers,
                "max_mb_s": effective.max_mb_s,
                "from": {
                    "workers": "setting" if pace.workers is None else "operator",
                    "max_mb_s": "setting" if pace.max_mb_s is None else "operator",
                },
            }
        )
        return
    limit = "as fast as it goes" if effective.max_mb_s is None else f"at most {effective.max_mb_s:g} MB/s"
    print_text(f"{stream}: {effective.workers} at a time, {limit}")
