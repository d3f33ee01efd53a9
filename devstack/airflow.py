"""Airflow on this machine: the components of ``airflow standalone``, each in a process of its own.

They share one home in the given directory and a metadata database of their own, and listen on 127.0.0.1 only. Like the
servers, each runs under a supervisor and ends when whoever started it is gone. Secrets are in the configuration file,
which only this user may read: an environment would show on a command line here.
"""

from __future__ import annotations

import base64
import configparser
import os
import secrets
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from devstack.airflow_api import AirflowApi
from devstack.errors import DevstackError
from devstack.ports import LOOPBACK
from devstack.process import ServerProcess

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

USER = "admin"

# Their logs are read from the files: nobody needs their log servers, which would listen on every address.
_COMPONENTS = {
    "api-server": ["api-server"],
    "scheduler": ["scheduler", "--skip-serve-logs"],
    "dag-processor": ["dag-processor"],
    "triggerer": ["triggerer", "--skip-serve-logs"],
}

_INIT_SECONDS = 120.0
_READY_SECONDS = 120.0
_STOP_SECONDS = 5.0
_POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class AirflowOptions:
    """``metadata_dsn`` is the URI of an empty PostgreSQL database.

    ``secrets`` are the variables of the init step, such as ``POSTGRES_CONN_PASSWORD``. ``variables`` reach the DAGs and
    their tasks. ``page_url`` is where a browser finds the page of the service, for a link in the navigation.
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


class AirflowProcesses:
    """A running Airflow. ``directory`` becomes its home and gets its logs."""

    def __init__(self, directory: Path, options: AirflowOptions) -> None:
        self._program = Path(sys.executable).with_name("airflow")
        if not os.access(self._program, os.X_OK):
            raise DevstackError(f"There is no {self._program}.", hint="Run `make venv`, which installs it.")
        self.home = directory.resolve()
        self.home.mkdir(parents=True, exist_ok=True)
        self.url = f"http://{LOOPBACK}:{options.port}"
        self.user, self.password = USER, options.password
        self.api = AirflowApi(options.port, USER, options.password)
        self._variables = {
            **options.variables,
            "REPLICATOR_PAGE_URL": options.page_url,
            "AIRFLOW_HOME": str(self.home),
            "PYTHONUNBUFFERED": "1",
        }
        _write_configuration(self.home, options)
        self._initialise(options)
        self._processes: dict[str, ServerProcess] = {}
        try:
            for name, words in _COMPONENTS.items():
                self._processes[name] = self._started(name, words)
        except BaseException:
            self.stop()
            raise

    def require_running(self) -> None:
        """Raise :class:`DevstackError` with the end of its log when a component has ended by itself."""
        for name, process in self._processes.items():
            if not process.running:
                raise DevstackError(
                    f"Airflow's {name} ended by itself (exit code {process.exit_code}).",
                    hint=f"The end of {process.log}:\n{process.log_tail()}",
                )

    def wait_until_healthy(self, seconds: float = _READY_SECONDS) -> None:
        """Wait until every component says by its heartbeat that it is well; the answer's status alone says nothing."""
        deadline = time.monotonic() + seconds
        while unhealthy := self.api.unhealthy():
            self.require_running()
            if time.monotonic() > deadline:
                raise DevstackError(
                    f"Airflow is not healthy after {seconds:.0f} s: {', '.join(unhealthy)}.",
                    hint=f"Its logs are in {self.home}.",
                )
            time.sleep(_POLL_SECONDS)

    @property
    def pids(self) -> dict[str, int]:
        """The process id of each component."""
        return {name: process.pid for name, process in self._processes.items()}

    def log_of(self, component: str) -> Path:
        """The log file of a component."""
        return self.home / f"{component}.log"

    def stop(self) -> None:
        """End all components at once; tasks that do not end in time are killed. Idempotent."""
        with ThreadPoolExecutor(len(_COMPONENTS)) as threads:
            stopping = [
                threads.submit(process.stop, signal.SIGTERM, timeout=_STOP_SECONDS)
                for process in self._processes.values()
            ]
        for each in stopping:
            each.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _initialise(self, options: AirflowOptions) -> None:
        """The same init step as everywhere; see :mod:`warehouse_jobs.orchestration.initialisation`."""
        log = self.home / "init.log"
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "LC_ALL": "C.UTF-8",
            **self._variables,
            **options.secrets,
            "AIRFLOW_ADMIN_PASSWORD": options.password,
        }
        with log.open("wb") as output:
            ended = subprocess.run(
                [sys.executable, "-m", "warehouse_jobs.orchestration.initialisation"],
                env=environment,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=_INIT_SECONDS,
                check=False,
            )
        if ended.returncode:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            raise DevstackError("Airflow's init step failed.", hint=f"The end of {log}:\n{tail}")

    def _started(self, name: str, words: list[str]) -> ServerProcess:
        return ServerProcess(
            [str(self._program), *words],
            directory=self.home,
            log=self.log_of(name),
            variables=self._variables,
            stop_signal=signal.SIGTERM,
        )


def _write_configuration(home: Path, options: AirflowOptions) -> None:
    configuration = configparser.RawConfigParser()
    configuration.read_dict(
        {
            "core": {
                "dags_folder": str(options.dags.resolve()),
                "plugins_folder": str((options.plugins or home / "plugins").resolve()),
                "executor": "LocalExecutor",
                "parallelism": str(options.parallelism),
                "load_examples": "False",
                "fernet_key": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
                "simple_auth_manager_users": f"{USER}:ADMIN",
                "simple_auth_manager_passwords_file": str(home / "passwords.json"),
                "execution_api_server_url": f"http://{LOOPBACK}:{options.port}/execution/",
            },
            # Airflow's own parser takes a percent sign for the beginning of a reference.
            "database": {"sql_alchemy_conn": options.metadata_dsn.replace("%", "%%")},
            "api": {
                "host": LOOPBACK,
                "port": str(options.port),
                "base_url": f"http://{LOOPBACK}:{options.port}",
                "secret_key": secrets.token_urlsafe(32),
            },
            "api_auth": {"jwt_secret": secrets.token_urlsafe(48)},
            "dag_processor": {"parsing_processes": "1", "refresh_interval": "30"},
            "logging": {"base_log_folder": str(home / "logs")},
            "usage_data_collection": {"enabled": "False"},
        }
    )
    file = home / "airflow.cfg"
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    with file.open("w", encoding="utf-8") as output:
        configuration.write(output)
