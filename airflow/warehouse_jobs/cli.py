"""The ``warehouse`` command: reads options and environment, calls the jobs, prints what they did."""

from __future__ import annotations

import typer

from warehouse_jobs.generator.cli import generate_command
from warehouse_jobs.marts.cli import marts_app

main = typer.Typer(
    name="warehouse",
    help="Batch jobs of the shop's warehouse.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
main.add_typer(marts_app, name="marts")
main.command("generate")(generate_command)


@main.callback()
def warehouse() -> None:
    """Batch jobs of the shop's warehouse."""


if __name__ == "__main__":
    main()
