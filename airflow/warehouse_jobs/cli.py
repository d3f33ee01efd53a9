"""The ``warehouse`` command: reads options and environment, calls the jobs, prints what they did."""

from __future__ import annotations

import sys

import typer

from replicator_service.cli.errors import ErrorsShown
from warehouse_jobs.marts.cli import marts_app

main = typer.Typer(
    name="warehouse",
    help="Batch jobs of the shop's warehouse.",
    cls=ErrorsShown,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
main.add_typer(marts_app, name="marts")


@main.callback()
def warehouse() -> None:
    """Batch jobs of the shop's warehouse."""


def _not_installed() -> None:
    """Write a plausible synthetic shop into MongoDB (not installed here)."""
    typer.echo(f"error: the generator needs faker, which is not installed\n  fix: {sys.executable} -m pip install faker", err=True)
    raise typer.Exit(2)


try:
    from warehouse_jobs.generator.cli import generate_command
except ModuleNotFoundError as missing:
    # The marts need no Faker.
    if missing.name != "faker":
        raise
    _anything = {"ignore_unknown_options": True, "allow_extra_args": True}
    main.command("generate", context_settings=_anything)(_not_installed)
else:
    main.command("generate")(generate_command)


if __name__ == "__main__":
    main()
