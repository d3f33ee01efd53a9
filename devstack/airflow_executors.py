"""Where Airflow's tasks run: in the scheduler's own processes, or in workers that Celery or Edge provide."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from devstack.ports import LOOPBACK, free_port

if TYPE_CHECKING:
    from pathlib import Path

_CONCURRENCY = 2
_LOST_AFTER_SECONDS = 10
_EDGE_LOST_AFTER_SECONDS = 30

EDGE_RETRIES = {"AIRFLOW__EDGE__API_RETRIES": "100", "AIRFLOW__EDGE__API_RETRY_WAIT_MAX": "5"}
"""Edge reads these from the environment alone: a worker that finds no API server asks again within five seconds, not
within ninety."""


class Executor(StrEnum):
    """Airflow's executors that run here."""

    LOCAL = "local"
    CELERY = "celery"
    EDGE = "edge"

    @property
    def airflow_name(self) -> str:
        """How Airflow's configuration calls it."""
        match self:
            case Executor.LOCAL:
                return "LocalExecutor"
            case Executor.CELERY:
                return "CeleryExecutor"
            case Executor.EDGE:
                return "airflow.providers.edge3.executors.EdgeExecutor"

    @property
    def lost_after_seconds(self) -> int:
        """How long a task may be without a heartbeat before it is begun again.

        Edge hands a job out a second time when its task has not begun so long after its worker took it. The second
        attempt is refused, since the task runs by then, and that refusal ends the task that runs (edge3 5.1.0,
        ``EdgeExecutor._update_orphaned_jobs``). So it has to be longer than the slowest start of a task.
        """
        return _EDGE_LOST_AFTER_SECONDS if self is Executor.EDGE else _LOST_AFTER_SECONDS


@dataclass(frozen=True, slots=True)
class Fleet:
    """How workers get their tasks: from Redis with Celery, from the API server over HTTP with Edge."""

    executor: Executor
    redis_port: int = field(default_factory=free_port)
    redis_password: str = field(repr=False, default_factory=lambda: secrets.token_urlsafe(16))

    def sections(self, api_port: int) -> dict[str, dict[str, str]]:
        """What belongs into Airflow's configuration, of the components and of every worker."""
        match self.executor:
            case Executor.LOCAL:
                return {}
            case Executor.CELERY:
                redis = f"redis://:{self.redis_password}@{LOOPBACK}:{self.redis_port}"
                # Without a database of results, a worker needs no way to the metadata database.
                return {"celery": {"broker_url": f"{redis}/0", "result_backend": f"{redis}/1"}}
            case Executor.EDGE:
                return {
                    "edge": {
                        "api_enabled": "True",
                        "api_url": f"http://{LOOPBACK}:{api_port}/edge_worker/v1/rpcapi",
                        "job_poll_interval": "1",
                        "heartbeat_interval": "2",
                    }
                }

    def worker_words(self, name: str) -> list[str]:
        """The words of Airflow's command for a worker of this name."""
        number = str(_CONCURRENCY)
        if self.executor is Executor.CELERY:
            return [
                *("celery", "worker", "--celery-hostname", f"celery@{name}", "--concurrency", number),
                *("--skip-serve-logs", "--without-mingle", "--without-gossip"),
            ]
        return ["edge", "worker", "--edge-hostname", name, "--concurrency", number]

    def write_redis_configuration(self, directory: Path) -> Path:
        """A configuration of Redis that keeps nothing: a task that gets lost with it is started again by Airflow."""
        file = directory / "redis.conf"
        file.unlink(missing_ok=True)
        file.touch(mode=0o600)
        file.write_text(
            f'bind {LOOPBACK}\nport {self.redis_port}\nrequirepass {self.redis_password}\nsave ""\nappendonly no\n'
        )
        return file
