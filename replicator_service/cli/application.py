"""All commands together, and what becomes of their errors.

A command's module is imported when the command runs: what is imported at its head is paid for at each start of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from replicator_service.cli.lazy import Lazy, LazyGroup
from replicator_service.cli.output import print_text

if TYPE_CHECKING:
    from collections.abc import Callable

DISTRIBUTION = "mongo-pg-replicator"

_HERE = "replicator_service.cli"
COMMANDS = {
    "run": Lazy(
        f"{_HERE}.run:run_command",
        "Replicate until SIGTERM or Ctrl-C; a second signal ends at once. With --json, log lines are JSON.",
        epilog=f"{_HERE}.config:settings_help",
    ),
    "check": Lazy(
        f"{_HERE}.check:check_command",
        "Check both servers, the credentials and the mapping, without changing anything.",
    ),
    "status": Lazy(
        f"{_HERE}.status:status_command",
        "Show what the service does, how far each collection is, and what is wrong.",
    ),
    "health": Lazy(
        f"{_HERE}.health:health_command",
        "Ask the running service whether it lives: exit code 0 if so, 1 if not, 3 if nothing answers.",
    ),
    "resync": Lazy(
        f"{_HERE}.requests:resync_command",
        "Read a collection again while the stream continues; rows that no longer exist at the source are deleted.",
    ),
    "forget": Lazy(
        f"{_HERE}.requests:forget_command",
        "Forget a collection that is gone: its tables are dropped, or emptied where something else depends on them.",
    ),
    "erase": Lazy(
        f"{_HERE}.erase:erase_command",
        "Erase what is left of a document deleted in MongoDB: rows, dead letters, differences, versions in marts.",
    ),
    "pause": Lazy(
        f"{_HERE}.requests:pause_command",
        "Pause the whole stream (nothing is lost while the oplog lasts), or stop following one collection.",
    ),
    "resume": Lazy(
        f"{_HERE}.requests:resume_command",
        "Let the stream continue where it was paused, or follow a paused collection again (it is read anew).",
    ),
    "reconcile": Lazy(
        f"{_HERE}.reconcile:reconcile_command",
        "Compare PostgreSQL with MongoDB exactly, under live writes. Exit code 1 when differences remain.",
    ),
    "dead-letters": Lazy(f"{_HERE}.dead_letters:dead_letters_app", "Documents that PostgreSQL refused."),
    "mapping": Lazy(f"{_HERE}.mapping:mapping_app", "Write a mapping file, check it, and show its tables."),
    "snapshot": Lazy(f"{_HERE}.snapshot:snapshot_app", "How collections are read: the first load, and resyncs."),
    "config": Lazy(f"{_HERE}.config:config_app", "The settings."),
}


class Replicator(LazyGroup):
    """The root command."""

    lazy = COMMANDS


application = typer.Typer(
    name="replicator",
    help="Keep PostgreSQL equal to MongoDB, continuously.",
    cls=Replicator,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 ok, 1 difference found, 2 configuration, 3 connection, 4 resync required, "
    "5 what no waiting and no setting repairs.",
)


def show_version(program: str) -> Callable[[bool], None]:
    """What the option ``--version`` of a program does."""

    def show(wanted: bool) -> None:  # noqa: FBT001 - the signature of a callback
        if wanted:
            from importlib.metadata import version

            print_text(f"{program} {version(DISTRIBUTION)}")
            raise typer.Exit

    return show


@application.callback()
def replicator(
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=show_version("replicator"), is_eager=True, help="Show it."),
    ] = False,
) -> None:
    """Keep PostgreSQL equal to MongoDB, continuously."""


def main() -> None:
    """Entry point of the console script."""
    application()
