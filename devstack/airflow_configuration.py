"""The configuration files of an Airflow on this machine: one for its components, one for each worker.

Secrets are in these files, which only this user may read: an environment would show on a command line here.
"""

from __future__ import annotations

import base64
import configparser
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from devstack.airflow_executors import Executor, Fleet
from devstack.ports import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

USER = "admin"

_HEARTBEAT_SECONDS = 2
_STUCK_AFTER_SECONDS = 60


@dataclass(frozen=True, slots=True)
class AirflowOptions:
    """``metadata_dsn`` is the URI of an empty PostgreSQL database.

    ``secrets`` are the variables of the init step, such as ``POSTGRES_CONN_PASSWORD``. ``variables`` reach the DAGs and
    their tasks. ``page_url`` is where a browser finds the page of the service, for a link in the navigation. With
    another executor than the local one, tasks run in so many ``workers``.
    """

    dags: Path
    metadata_dsn: str = field(repr=False)
    port: int
    secrets: Mapping[str, str] = field(repr=False)
    variables: Mapping[str, str] = field(default_factory=dict)
    password: str = field(repr=False, default="admin")
    parallelism: int = 4
    plugins: Path | None = None
    page_url: str = ""
    executor: Executor = Executor.LOCAL
    workers: int = 0


@dataclass(frozen=True, slots=True)
class Keys:
    """What all parts of one Airflow encrypt and sign with."""

    fernet: str = field(repr=False, default_factory=lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())
    api: str = field(repr=False, default_factory=lambda: secrets.token_urlsafe(32))
    tokens: str = field(repr=False, default_factory=lambda: secrets.token_urlsafe(48))


def write_configuration(home: Path, options: AirflowOptions, keys: Keys, fleet: Fleet, *, is_worker: bool) -> None:
    """Write ``airflow.cfg`` for a home. A worker knows neither the metadata database nor a folder of the components."""
    sections: dict[str, dict[str, str]] = {
        "core": {
            "dags_folder": str(options.dags.resolve()),
            "plugins_folder": str((options.plugins or home / "plugins").resolve()),
            "executor": options.executor.airflow_name,
            "parallelism": str(options.parallelism),
            "load_examples": "False",
            "fernet_key": keys.fernet,
            "simple_auth_manager_users": f"{USER}:ADMIN",
            "simple_auth_manager_passwords_file": str(home / "passwords.json"),
            "execution_api_server_url": f"http://{LOOPBACK}:{options.port}/execution/",
        },
        "api": {
            "host": LOOPBACK,
            "port": str(options.port),
            "base_url": f"http://{LOOPBACK}:{options.port}",
            "secret_key": keys.api,
        },
        "api_auth": {"jwt_secret": keys.tokens},
        "dag_processor": {"parsing_processes": "1", "refresh_interval": "30"},
        "logging": {"base_log_folder": str(home / "logs")},
        "scheduler": {
            # A task whose worker is gone is noticed within seconds rather than five minutes.
            "task_instance_heartbeat_sec": str(_HEARTBEAT_SECONDS),
            "task_instance_heartbeat_timeout": str(options.executor.lost_after_seconds),
            "task_instance_heartbeat_timeout_detection_interval": str(_HEARTBEAT_SECONDS),
            # What a worker had taken from the queue and not begun when it was killed: a minute, not ten.
            "task_queued_timeout": str(_STUCK_AFTER_SECONDS),
            "task_queued_timeout_check_interval": str(_HEARTBEAT_SECONDS),
        },
        "usage_data_collection": {"enabled": "False"},
        **fleet.sections(options.port),
    }
    if not is_worker:
        # Airflow's own parser takes a percent sign for the beginning of a reference.
        sections["database"] = {"sql_alchemy_conn": options.metadata_dsn.replace("%", "%%")}
    configuration = configparser.RawConfigParser()
    configuration.read_dict(sections)
    file = home / "airflow.cfg"
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    with file.open("w", encoding="utf-8") as output:
        configuration.write(output)
