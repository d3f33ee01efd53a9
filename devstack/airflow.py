"""Airflow on this machine: the components of ``airflow standalone``, each in a process of its own, and workers.

The components share one home in the given directory and a metadata database of their own, and listen on 127.0.0.1 only.
Every worker has a home of its own and shares nothing with the others but what an image has: programs, DAG files,
mappings. Like the servers, each runs under a supervisor and ends when whoever started it is gone.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Self

from devstack.airflow_api import AirflowApi
from devstack.airflow_configuration import USER, AirflowOptions, Keys, write_configuration
from devstack.airflow_executors import EDGE_RETRIES, Executor, Fleet
from devstack.errors import DevstackError
from devstack.ports import LOOPBACK, PortTakenError
from devstack.process import ServerProcess

if TYPE_CHECKING:
    from types import TracebackType

# Their logs are read from the files: nobody needs their log servers, which would listen on every address.
_COMPONENTS = {
    "api-server": ["api-server"],
    "scheduler": ["scheduler", "--skip-serve-logs"],
    "dag-processor": ["dag-processor"],
    "triggerer": ["triggerer", "--skip-serve-logs"],
}

# What uvicorn writes about its port.
_LISTENING = "Uvicorn running on"
_PORT_TAKEN = "address already in use"

_INIT_SECONDS = 120.0
_READY_SECONDS = 120.0
_STOP_SECONDS = 5.0
_POLL_SECONDS = 0.5


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
            **EDGE_RETRIES,
        }
        self._options = options
        self._keys, self._fleet = Keys(), Fleet(options.executor)
        write_configuration(self.home, options, self._keys, self._fleet, is_worker=False)
        self._processes: dict[str, ServerProcess] = {}
        self._started_workers = 0
        try:
            if options.executor is Executor.CELERY:
                self._processes["redis"] = self._started_redis()
            self._initialise(options)
            for name, words in _COMPONENTS.items():
                self._processes[name] = self._started(name, words, self.home)
            for _ in range(options.workers):
                self.start_worker()
        except BaseException:
            self.stop()
            raise

    def start_worker(self) -> None:
        """Start a worker in a home of its own, under a new name: Edge holds that of a lost one for a while."""
        self._started_workers += 1
        name = f"worker-{self._started_workers}"
        home = self.home / name
        home.mkdir(exist_ok=True)
        write_configuration(home, self._options, self._keys, self._fleet, is_worker=True)
        self._processes[name] = self._started(name, self._fleet.worker_words(name), home)

    def kill_worker(self, name: str) -> None:
        """End a worker and all that it runs by SIGKILL, as the loss of its machine would."""
        self._processes.pop(name).kill()

    @property
    def workers(self) -> list[str]:
        """The workers that were started and not killed."""
        return [name for name in self._processes if name.startswith("worker-")]

    def require_running(self) -> None:
        """Raise :class:`DevstackError` with the end of its log when a component has ended by itself.

        It is a :class:`PortTakenError` when somebody else has the port.
        """
        for name, process in self._processes.items():
            if not process.running:
                failure = PortTakenError if _PORT_TAKEN in process.log_written() else DevstackError
                raise failure(
                    f"Airflow's {name} ended by itself (exit code {process.exit_code}).",
                    hint=f"The end of {process.log}:\n{process.log_tail()}",
                )

    def wait_until_healthy(self, seconds: float = _READY_SECONDS) -> None:
        """Wait until every component says by its heartbeat that it is well; the answer's status alone says nothing.

        Nobody is asked before the API server says itself that it listens: on its port may be another Airflow.
        """
        deadline = time.monotonic() + seconds
        while unhealthy := self.api.unhealthy() if self._listens() else ("api-server",):
            self.require_running()
            if time.monotonic() > deadline:
                raise DevstackError(
                    f"Airflow is not healthy after {seconds:.0f} s: {', '.join(unhealthy)}.",
                    hint=f"Its logs are in {self.home}.",
                )
            time.sleep(_POLL_SECONDS)
        self.api.log_in()

    def _listens(self) -> bool:
        return f"{_LISTENING} {self.url} " in self._processes["api-server"].log_written()

    @property
    def pids(self) -> dict[str, int]:
        """The process id of each component."""
        return {name: process.pid for name, process in self._processes.items()}

    def log_of(self, component: str) -> Path:
        """The log file of a component."""
        return self.home / f"{component}.log"

    def stop(self) -> None:
        """End all components at once; tasks that do not end in time are killed. Idempotent."""
        with ThreadPoolExecutor(len(self._processes) or 1) as threads:
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

    def _started_redis(self) -> ServerProcess:
        program = shutil.which("redis-server", path=os.pathsep.join([str(self._program.parent), os.defpath]))
        if program is None:
            raise DevstackError(
                "There is no redis-server.", hint="Run `sh tests/tools.sh .venv/bin`, or install Redis."
            )
        file = self._fleet.write_redis_configuration(self.home)
        return ServerProcess(
            [program, str(file)], directory=self.home, log=self.log_of("redis"), stop_signal=signal.SIGTERM
        )

    def _started(self, name: str, words: list[str], home: Path) -> ServerProcess:
        return ServerProcess(
            [str(self._program), *words],
            directory=home,
            log=self.log_of(name),
            variables={**self._variables, "AIRFLOW_HOME": str(home)},
            stop_signal=signal.SIGTERM,
        )
