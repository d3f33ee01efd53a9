"""What the init step reads from the environment: both connections, with the secrets of ``.env``.

Each field of a connection has a variable: its id in capital letters and the field, such as ``POSTGRES_CONN_PASSWORD``.
Passwords may also be in a file (``..._FILE``).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warehouse_jobs.orchestration.connections import MONGO, POSTGRES

if TYPE_CHECKING:
    from collections.abc import Mapping

USER = "admin"
"""The user of Airflow's UI, with the role ADMIN."""

_PASSWORD = "AIRFLOW_ADMIN_PASSWORD"  # noqa: S105 - the name of a variable

_CONNECTIONS: dict[str, dict[str, Any]] = {
    MONGO: {
        "conn_type": "mongo",
        "description": "The shop's database",
        "host": "mongo-origin",
        "port": 27017,
        "schema": "origin",
        "extra": {"srv": False, "ssl": False, "allow_insecure": False, "authSource": "admin"},
    },
    POSTGRES: {
        "conn_type": "postgres",
        "description": "The warehouse",
        "host": "postgres-destination",
        "port": 5433,
        "schema": "destination",
    },
}


class VariablesError(Exception):
    """Every variable that is missing or wrong, without its value."""


def connections(environ: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Both connections by id, as ``airflow connections import`` reads them.

    Host, port, schema and extra default to those of the README; login and password have to be given. Both given and
    empty mean a server without users.
    """
    problems: list[str] = []
    found = {name: _connection(name, dict(values), environ, problems) for name, values in _CONNECTIONS.items()}
    if problems:
        raise VariablesError("; ".join(problems))
    return found


def password_of_user(environ: Mapping[str, str]) -> str | None:
    """The password of the UI's user, where one is given."""
    return _secret(_PASSWORD, environ)


def _connection(name: str, values: dict[str, Any], environ: Mapping[str, str], problems: list[str]) -> dict[str, Any]:
    prefix = name.upper()
    for field in ("host", "schema"):
        values[field] = environ.get(f"{prefix}_{field.upper()}") or values[field]
    if port := environ.get(f"{prefix}_PORT"):
        if port.isdecimal() and int(port) < 2**16:
            values["port"] = int(port)
        else:
            problems.append(f"{prefix}_PORT is no port")
    if extra := environ.get(f"{prefix}_EXTRA"):
        try:
            values["extra"] = dict(json.loads(extra))
        except (ValueError, TypeError):
            problems.append(f"{prefix}_EXTRA is no JSON object")
    try:
        secrets = {"login": environ.get(f"{prefix}_LOGIN"), "password": _secret(f"{prefix}_PASSWORD", environ)}
    except VariablesError as error:
        problems.append(str(error))
        return values
    if not any(secrets.values()) and environ.get(f"{prefix}_LOGIN") == environ.get(f"{prefix}_PASSWORD") == "":
        return values
    problems += [f"{prefix}_{field.upper()} is missing" for field, value in secrets.items() if not value]
    return values | secrets


def _secret(variable: str, environ: Mapping[str, str]) -> str | None:
    file = environ.get(f"{variable}_FILE")
    if environ.get(variable) or not file:
        return environ.get(variable) or None
    try:
        return Path(file).read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError) as error:
        raise VariablesError(f"the file of {variable}_FILE cannot be read: {type(error).__name__}") from None
