"""``warehouse marts``: exit code 0 done, 1 difference or failed check, 2 configuration, 3 server."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from replicator_service.cli.output import Json, print_warning, wants_json
from warehouse_jobs.marts import checks, loader, reading, report
from warehouse_jobs.marts.definition_file import mart_names, read_mart
from warehouse_jobs.marts.errors import DefinitionError, MartError, SettingsError
from warehouse_jobs.marts.install import install
from warehouse_jobs.marts.settings import MartSettings, read_settings, unknown_variables
from warehouse_jobs.marts.undo import undo

if TYPE_CHECKING:
    from collections.abc import Callable

    from warehouse_jobs.marts.definition import Mart

marts_app = typer.Typer(
    help="Load the data marts, compare them with their source, read them as of a time.", no_args_is_help=True
)

Marts = Annotated[list[str] | None, typer.Argument(help="Marts to take; all of them by default.", metavar="[MART]...")]
AsOf = Annotated[
    str | None,
    typer.Option(
        "--as-of",
        help="The time from which the rows are valid (ISO 8601, UTC without an offset); now by default.",
    ),
]
Accept = Annotated[
    list[str] | None,
    typer.Option(
        "--accept", metavar="CHECK", help="Let a failed check through this once; its name, or the word it begins with."
    ),
]
AllowStale = Annotated[
    bool, typer.Option("--allow-stale", help="Load although the source is not whole or too old, with a warning.")
]
Full = Annotated[bool, typer.Option("--full", help="Compute every row, not only those of keys that have changed.")]
Directory = Annotated[
    Path | None, typer.Option("--directory", help="Where the .sql and .yml files are (MART_DIRECTORY).")
]
Limit = Annotated[
    int | None, typer.Option("--limit", min=0, help="Rows to show: 20 by default, 0 is all; JSON has all by default.")
]
_SHOWN = 20


@marts_app.command("load")
def load_command(
    context: typer.Context,
    marts: Marts = None,
    as_of: AsOf = None,
    accept: Accept = None,
    directory: Directory = None,
    *,
    allow_stale: AllowStale = False,
    full: Full = False,
    json: Json = False,  # noqa: ARG001 - read from the context
) -> None:
    """Publish the marts as they are now. A mart that fails does not keep the others from being loaded."""
    settings = _settings(directory)
    time = _time(as_of)
    names = _names(marts, settings)
    checks.require_known(accept or (), _readable(names, settings))
    installed = install(settings.dsn)
    if installed.warning:
        print_warning(installed.warning)

    def load_one(name: str) -> report.Outcome:
        result = loader.load(
            settings.dsn,
            name,
            time,
            timezone=settings.timezone,
            work_mem=settings.work_mem,
            directory=settings.directory,
            accept=accept or (),
            allow_stale=allow_stale,
            max_lag=settings.max_lag,
            full=full,
        )
        return report.of_load(result)

    outcomes = [_attempt(name, load_one) for name in names]
    report.show(outcomes, as_json=wants_json(context))
    raise typer.Exit(max(outcome.exit_code for outcome in outcomes))


@marts_app.command("diff")
def diff_command(
    context: typer.Context,
    marts: Marts = None,
    as_of: AsOf = None,
    directory: Directory = None,
    limit: Limit = None,
    *,
    json: Json = False,  # noqa: ARG001 - read from the context
) -> None:
    """Tell what a load would change, without publishing anything; exit code 1 when it would."""
    settings = _settings(directory)
    time = _time(as_of)
    as_json = wants_json(context)

    def diff_one(name: str) -> report.Outcome:
        result = loader.diff(
            settings.dsn,
            name,
            time,
            timezone=settings.timezone,
            work_mem=settings.work_mem,
            directory=settings.directory,
            limit=_limit(limit, as_json=as_json),
        )
        return report.of_diff(result)

    outcomes = [_attempt(name, diff_one) for name in _names(marts, settings)]
    report.show(outcomes, as_json=as_json)
    raise typer.Exit(max(outcome.exit_code for outcome in outcomes))


@marts_app.command("as-of")
def as_of_command(
    context: typer.Context,
    mart: Annotated[str, typer.Argument(help="The mart to read.")],
    at: Annotated[str, typer.Argument(help="The time (ISO 8601, UTC without an offset).")],
    directory: Directory = None,
    limit: Limit = None,
    *,
    json: Json = False,  # noqa: ARG001 - read from the context
) -> None:
    """Show the rows that were valid at a time."""
    settings = _settings(directory)
    as_json = wants_json(context)
    shown = _limit(limit, as_json=as_json)
    rows = reading.as_of(settings.dsn, mart, _parsed(at), directory=settings.directory, limit=shown)
    report.show_rows(rows, as_json=as_json)


@marts_app.command("status")
def status_command(
    context: typer.Context,
    marts: Marts = None,
    directory: Directory = None,
    *,
    json: Json = False,  # noqa: ARG001 - read from the context
) -> None:
    """Show the last load of each mart: as of when, of which time at MongoDB, rows, checks and warnings."""
    settings = _settings(directory)
    names = _names(marts, settings)
    for name in names:
        read_mart(name, settings.directory)
    report.show_status(reading.statuses(settings.dsn, names), as_json=wants_json(context))


@marts_app.command("undo")
def undo_command(
    context: typer.Context,
    mart: Annotated[str, typer.Argument(help="The mart whose last load is taken back.")],
    directory: Directory = None,
    *,
    json: Json = False,  # noqa: ARG001 - read from the context
) -> None:
    """Take back the last load of a mart, exactly: its history and current rows are what they were before."""
    settings = _settings(directory)
    report.show_undone(undo(settings.dsn, mart, directory=settings.directory), as_json=wants_json(context))


def _settings(directory: Path | None) -> MartSettings:
    environ = dict(os.environ)
    if directory is not None:
        environ["MART_DIRECTORY"] = str(directory)
    for variable, meant in unknown_variables(environ).items():
        print_warning(f"{variable} is not a setting; " + (f"did you mean {meant}?" if meant else "remove it."))
    return read_settings(environ)


def _names(marts: list[str] | None, settings: MartSettings) -> tuple[str, ...]:
    return tuple(marts) if marts else mart_names(settings.directory)


def _readable(names: tuple[str, ...], settings: MartSettings) -> list[Mart]:
    """The definitions that can be read; what is wrong with the others is said when they are loaded."""
    found = []
    for name in names:
        try:
            found.append(read_mart(name, settings.directory))
        except DefinitionError:
            continue
    return found


def _limit(asked: int | None, *, as_json: bool) -> int | None:
    return (None if as_json else _SHOWN) if asked is None else asked or None


def _time(text: str | None) -> datetime | None:
    return None if text is None else _parsed(text)


def _parsed(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise SettingsError(f"{text!r} is not a time", hint="Write it as 2026-01-31T00:00:00+00:00.") from None
    return time if time.utcoffset() is not None else time.replace(tzinfo=UTC)


def _attempt(name: str, action: Callable[[str], report.Outcome]) -> report.Outcome:
    try:
        return action(name)
    except MartError as error:
        return report.of_error(name, error)
