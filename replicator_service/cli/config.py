"""``config show``: the settings as the service would read them, without secrets."""

from __future__ import annotations

import os
from enum import Enum
from typing import TYPE_CHECKING, Any

import typer
from pydantic import SecretStr

from replicator_service.cli.output import Json, print_json, print_table, wants_json
from replicator_service.configuration.environment import PREFIX
from replicator_service.configuration.settings import Settings, load_settings
from replicator_service.runtime.log.masking import mask_address

if TYPE_CHECKING:
    from collections.abc import Mapping

config_app = typer.Typer(help="The settings.", no_args_is_help=True)


@config_app.command("show")
def show_command(context: typer.Context, *, json: Json = False) -> None:  # noqa: ARG001 - read from the context
    """Show every setting, its value without secrets, and where it comes from."""
    shown = settings_shown(load_settings(), os.environ)
    if wants_json(context):
        print_json(shown)
        return
    rows = [(name, "" if each["value"] is None else each["value"], each["from"]) for name, each in shown.items()]
    print_table(("setting", "value", "from"), rows)


def settings_shown(settings: Settings, environ: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Each setting by the name of its variable: its value and its origin."""
    return {
        PREFIX + name.upper(): {
            "value": _shown(getattr(settings, name)),
            "from": _origin(PREFIX + name.upper(), environ),
            "description": field.description,
        }
        for name, field in Settings.model_fields.items()
    }


def settings_help() -> str:
    """Every variable with its meaning, for the help of a command."""
    lines = [f"{PREFIX}{name.upper()}: {field.description}" for name, field in Settings.model_fields.items()]
    return "\n\n".join(["Settings, each also as ..._FILE that names a file with the value:", *lines])


def _shown(value: object) -> object:
    match value:
        case SecretStr():
            secret = value.get_secret_value()
            return mask_address(secret) if "://" in secret or "=" in secret else "***"
        case Enum():
            return value.value
        case bool() | int() | float() | None:
            return value
        case _:
            return str(value)


def _origin(variable: str, environ: Mapping[str, str]) -> str:
    if environ.get(variable, "") != "":
        return "environment"
    return "file" if variable + "_FILE" in environ else "default"
