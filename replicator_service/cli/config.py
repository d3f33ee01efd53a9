"""``config show``: the settings as the service would read them, without secrets."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

import typer
from pydantic import SecretStr
from rich.text import Text

from replicator_service.cli.addresses import From, MappingFile, To  # noqa: TC001 - read when the command is made
from replicator_service.cli.output import Json, print_json, print_table, wants_json
from replicator_service.configuration.configuration import read_configuration
from replicator_service.configuration.environment import PREFIX, RawSettings
from replicator_service.configuration.settings import Settings
from replicator_service.core.errors import ConfigurationError
from replicator_service.runtime.log.masking import mask_secret_address

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic.fields import FieldInfo

config_app = typer.Typer(help="The settings.", no_args_is_help=True)


@config_app.command("show")
def show_command(
    context: typer.Context,
    _from: From = None,
    _to: To = None,
    _mapping: MappingFile = None,
    *,
    json: Json = False,  # noqa: ARG001 - read from the context
) -> None:
    """Show every setting, its value without secrets, where it comes from, and what is missing or wrong.

    Ends with 2 when the service could not start with them.
    """
    found = read_configuration()
    raw = found.raw
    shown = settings_shown(raw, found.settings)
    if wants_json(context):
        print_json(shown)
    else:
        print_table(("setting", "value", "from"), [_row(name, each) for name, each in shown.items()])
    if raw.problems:
        if wants_json(context):
            raise typer.Exit(ConfigurationError.exit_code)
        raise raw.error


def settings_shown(raw: RawSettings, settings: Settings | None) -> dict[str, dict[str, Any]]:
    """Each setting by the name of its variable: its value, its origin, and what is wrong with it."""
    return {
        PREFIX + name.upper(): {
            "value": _value(name, field, raw, settings),
            "from": raw.origins.get(name, None if field.is_required() else "default"),
            "problem": problem.message if (problem := raw.problems.get(name)) else None,
            "description": field.description,
        }
        for name, field in Settings.model_fields.items()
    }


def _value(name: str, field: FieldInfo, raw: RawSettings, settings: Settings | None) -> object:
    if settings is not None:
        return _shown(field, getattr(settings, name))
    if name in raw.values:
        return _shown(field, raw.values[name])
    return None if field.is_required() else _shown(field, field.default)


def _row(name: str, setting: Mapping[str, Any]) -> tuple[object, ...]:
    if setting["problem"] is None:
        value = setting["value"]
        return name, "" if value is None else value, setting["from"] or "the address, once it is there"
    told = "is missing" if setting["from"] in (None, "default") else "is wrong"
    return Text(name, "bold red"), Text(told, "bold red"), setting["from"] or ""


def settings_help() -> str:
    """Every variable with its meaning, for the help of a command."""
    lines = [f"{PREFIX}{name.upper()}: {field.description}" for name, field in Settings.model_fields.items()]
    return "\n\n".join(["Settings, each also as ..._FILE that names a file with the value:", *lines])


def _shown(field: FieldInfo, value: object) -> object:
    if "SecretStr" in str(field.annotation) and value is not None:
        secret = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        return mask_secret_address(secret) if "://" in secret or "=" in secret else "***"
    match value:
        case Enum():
            return value.value
        case bool() | int() | float() | None:
            return value
        case _:
            return str(value)
