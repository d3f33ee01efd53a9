"""The ``warehouse`` command: reads options and environment, calls the jobs, prints what they did."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from replicator_service.cli.application import show_version
from replicator_service.cli.errors import ErrorsShown
from replicator_service.cli.lazy import paragraphs
from replicator_service.core.errors import ConfigurationError
from warehouse_jobs.marts.cli import marts_app

main = typer.Typer(
    name="warehouse",
    help="Batch jobs of the shop's warehouse.",
    cls=ErrorsShown,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 ok, 1 a check failed or a difference was found, 2 configuration, 3 connection.",
)
main.add_typer(marts_app, name="marts")


@main.callback()
def warehouse(
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=show_version("warehouse"), is_eager=True, help="Show it."),
    ] = False,
) -> None:
    """Batch jobs of the shop's warehouse."""


def _not_installed() -> None:
    """Write a plausible synthetic shop into MongoDB (not installed here)."""
    raise ConfigurationError(
        "the generator needs faker, which is not installed", hint=f"{sys.executable} -m pip install faker"
    )


try:
    from warehouse_jobs.generator.cli import generate_command
except ModuleNotFoundError as missing:
    # The marts need no Faker.
    if missing.name != "faker":
        raise
    _anything = {"ignore_unknown_options": True, "allow_extra_args": True}
    main.command("generate", context_settings=_anything)(_not_installed)
else:
    main.command("generate", help=paragraphs(generate_command))(generate_command)


if __name__ == "__main__":
    main()
