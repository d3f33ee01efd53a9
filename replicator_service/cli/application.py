"""All commands together, and what becomes of their errors."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from replicator_service.cli.check import check_command
from replicator_service.cli.config import config_app, settings_help
from replicator_service.cli.dead_letters import dead_letters_app
from replicator_service.cli.errors import ErrorsShown
from replicator_service.cli.health import health_command
from replicator_service.cli.mapping import mapping_app
from replicator_service.cli.output import print_text
from replicator_service.cli.reconcile import reconcile_command
from replicator_service.cli.requests import forget_command, pause_command, resume_command, resync_command
from replicator_service.cli.run import run_command
from replicator_service.cli.status import status_command

DISTRIBUTION = "mongo-pg-replicator"

application = typer.Typer(
    name="replicator",
    help="Keep PostgreSQL equal to MongoDB, continuously.",
    cls=ErrorsShown,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 ok, 1 difference found, 2 configuration, 3 connection, 4 resync required.",
)


def _show_version(*, wanted: bool) -> None:
    if wanted:
        print_text(f"replicator {version(DISTRIBUTION)}")
        raise typer.Exit


@application.callback()
def replicator(
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=lambda wanted: _show_version(wanted=wanted), is_eager=True, help="Show it."),
    ] = False,
) -> None:
    """Keep PostgreSQL equal to MongoDB, continuously."""


application.command("run", epilog=settings_help())(run_command)
application.command("check")(check_command)
application.command("status")(status_command)
application.command("health")(health_command)
application.command("resync")(resync_command)
application.command("forget")(forget_command)
application.command("pause")(pause_command)
application.command("resume")(resume_command)
application.command("reconcile")(reconcile_command)
application.add_typer(dead_letters_app, name="dead-letters")
application.add_typer(mapping_app, name="mapping")
application.add_typer(config_app, name="config")


def main() -> None:
    """Entry point of the console script."""
    application()
