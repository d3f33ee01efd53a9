"""The ``warehouse`` command: reads options and environment, calls the jobs, prints what they did."""

from __future__ import annotations

import typer

main = typer.Typer(
    name="warehouse",
    help="Batch jobs of the shop's warehouse.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@main.callback()
def warehouse() -> None:
    """Batch jobs of the shop's warehouse."""


@main.command()
def generate() -> None:
    """Write a plausible synthetic shop into MongoDB."""


if __name__ == "__main__":
    main()
