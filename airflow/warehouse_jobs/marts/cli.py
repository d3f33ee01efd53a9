"""``warehouse marts load | diff | as-of``: exit code 1 difference, 2 configuration, 3 server."""

from __future__ import annotations

import os
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from warehouse_jobs.marts import loader, report
from warehouse_jobs.marts.definition_file import mart_names
from warehouse_jobs.marts.errors import MartError, SettingsError
from warehouse_jobs.marts.install import install
from warehouse_jobs.marts.settings import MartSettings, read_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
Directory = Annotated[
    Path | None, typer.Option("--directory", help="Where the .sql and .yml files are (MART_DIRECTORY).")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Limit = Annotated[int, typer.Option("--limit", min=0, help="Rows to show.")]


@marts_app.command("load")
def load_command(marts: Marts = None, as_of: AsOf = None, directory: Directory = None, *, json: Json = False) -> None:
    """Publish the marts as they are now. A mart that fails does not keep the others from being loaded."""
    with _errors_shown(as_json=json):
        settings = _settings(directory)
        time = _time(as_of)
        installed = install(settings.dsn)
        if installed.warning:
            report.show_warning(installed.warning)

        def load_one(name: str) -> report.Outcome:
            result = loader.load(
                settings.dsn,
                name,
                time,
                timezone=settings.timezone,
                work_mem=settings.work_mem,
                directory=settings.directory,
            )
            return report.of_load(result)

        outcomes = [_attempt(name, load_one) for name in _names(marts, settings)]
    report.show(outcomes, as_json=json)
    raise typer.Exit(max(outcome.exit_code for outcome in outcomes))


@marts_app.command("diff")
def diff_command(
    marts: Marts = None,
    as_of: AsOf = None,
    directory: Directory = None,
    limit: Limit = 20,
    *,
    json: Json = False,
) -> None:
    """Tell what a load would change, without publishing anything; exit code 1 when it would."""
    with _errors_shown(as_json=json):
        settings = _settings(directory)
        time = _time(as_of)

        def diff_one(name: str) -> report.Outcome:
            result = loader.diff(
                settings.dsn,
                name,
                time,
                timezone=settings.timezone,
                work_mem=settings.work_mem,
                directory=settings.directory,
                limit=limit,
            )
            return report.of_diff(result)

        outcomes = [_attempt(name, diff_one) for name in _names(marts, settings)]
    report.show(outcomes, as_json=json)
    raise typer.Exit(max(outcome.exit_code for outcome in outcomes))


@marts_app.command("as-of")
def as_of_command(
    mart: Annotated[str, typer.Argument(help="The mart to read.")],
    at: Annotated[str, typer.Argument(help="The time (ISO 8601, UTC without an offset).")],
    directory: Directory = None,
    limit: Limit = 20,
    *,
    json: Json = False,
) -> None:
    """Show the rows that were valid at a time; with --json and --limit 0, all of them."""
    with _errors_shown(as_json=json):
        settings = _settings(directory)
        rows = loader.as_of(settings.dsn, mart, _time(at), directory=settings.directory, limit=limit or None)
    report.show_rows(rows, as_json=json)


def _settings(directory: Path | None) -> MartSettings:
    environ = dict(os.environ)
    if directory is not None:
        environ["MART_DIRECTORY"] = str(directory)
    return read_settings(environ)


def _names(marts: list[str] | None, settings: MartSettings) -> tuple[str, ...]:
    return tuple(marts) if marts else mart_names(settings.directory)


def _time(text: str | None) -> datetime:
    if text is None:
        return datetime.now(UTC)
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


@contextmanager
def _errors_shown(*, as_json: bool) -> Iterator[None]:
    try:
        yield
    except MartError as error:
        report.show([report.of_error(None, error)], as_json=as_json)
        raise typer.Exit(error.exit_code) from None
