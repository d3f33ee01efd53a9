"""The init step of Airflow: ``python -m warehouse_jobs.orchestration.initialisation``.

1. Bring the metadata database to the version of this Airflow.
2. Make the pool of the reconciliation; a task whose pool is missing would wait for ever.
3. Import the connections from the environment, so that they show in the UI and can be edited there. One that exists is
   left alone, unless ``--overwrite``: it may have been edited.
4. Set the password of the UI's user, where the environment has one.

Doing it again changes nothing. It runs Airflow's own commands, in this process, and so with the configuration of the
environment (``AIRFLOW__...``).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from warehouse_jobs.orchestration.environment import USER, VariablesError, connections, password_of_user

if TYPE_CHECKING:
    from collections.abc import Sequence

POOL = "reconciliation"
POOL_SLOTS = 2

_CONFIGURATION = 2
_CONNECTION = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the init step and give the exit code.

    0, 2 when a variable is missing or wrong, 3 when the metadata database cannot be used.
    """
    parser = argparse.ArgumentParser(prog="initialisation", description="Make Airflow ready; may be repeated.")
    parser.add_argument("--overwrite", action="store_true", help="replace connections that exist")
    overwrite: bool = parser.parse_args(arguments).overwrite
    try:
        wanted = connections(os.environ)
        password = password_of_user(os.environ)
    except VariablesError as error:
        sys.stderr.write(f"error: {error}\n")
        return _CONFIGURATION
    if refusal := _refusal():
        sys.stderr.write(
            f"error: Airflow's metadata database cannot be used: {refusal}. See AIRFLOW__DATABASE__SQL_ALCHEMY_CONN; "
            "with docker compose, AIRFLOW_POSTGRES_PASSWORD in .env has to be what the volume was made with\n"
        )
        return _CONNECTION
    _airflow("db", "migrate")
    if not _pool_exists():
        _airflow("pools", "set", POOL, str(POOL_SLOTS), "Parts of collections that are compared at once")
    with tempfile.TemporaryDirectory() as directory:
        # Readable by this user alone, as the directory is.
        file = Path(directory) / "connections.json"
        file.write_text(json.dumps(wanted), encoding="utf-8")
        _airflow("connections", "import", str(file), *(["--overwrite"] if overwrite else []))
    if password is not None:
        _set_password(password)
    return 0


def _airflow(*words: str) -> None:
    from airflow.cli.cli_parser import get_parser

    arguments = get_parser().parse_args(words)
    arguments.func(arguments)


def _refusal() -> str | None:
    """Why the metadata database lets nobody in; Airflow itself would tell it at the end of a hundred lines."""
    from airflow.configuration import conf
    from sqlalchemy import create_engine
    from sqlalchemy.exc import OperationalError

    engine = create_engine(conf.get_mandatory_value("database", "sql_alchemy_conn"))
    try:
        engine.connect().close()
    except OperationalError as error:
        return str(error.orig).strip().splitlines()[0]
    finally:
        engine.dispose()
    return None


def _pool_exists() -> bool:
    """Whether there is one already, the number of whose slots may have been edited."""
    from airflow.models.pool import Pool

    return Pool.get_pool(POOL) is not None


def _set_password(password: str) -> None:
    from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

    file = Path(SimpleAuthManager.get_generated_password_file())
    known: dict[str, str] = json.loads(file.read_text(encoding="utf-8") or "{}") if file.exists() else {}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    file.write_text(json.dumps(known | {USER: password}), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
