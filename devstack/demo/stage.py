"""What the steps of the demo have put up so far, and how all of it is taken down."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devstack.errors import DevstackError
from devstack.ports import free_port, taken

if TYPE_CHECKING:
    from contextlib import ExitStack

    from pymongo import MongoClient

    from devstack.airflow import AirflowProcesses
    from devstack.demo.comparison import Comparison
    from devstack.demo.lag import LagMeter
    from devstack.demo.screen import Screen
    from devstack.demo.traffic import LiveTraffic
    from devstack.service import ServiceProcess
    from devstack.stack import Stack

ROOT = Path(__file__).resolve().parents[2]
MAPPING = ROOT / "mappings" / "shop.yml"
DIRECTORY = ROOT / ".devstack" / "demo"

SOURCE = "origin"
SINK = "destination"
POSTGRES_VERSION = 18

# Those of docker-compose.yml, so that the same addresses work in both worlds.
MONGO_PORT = 27017
POSTGRES_PORT = 5433
HTTP_PORT = 8081


@dataclass(slots=True)
class Stage:
    """Every step finds here what the steps before it have made; ``ends`` takes it down in reverse order."""

    directory: Path
    screen: Screen
    ends: ExitStack
    workers: int = 0
    stack: Stack = field(init=False)
    dsn: str = field(init=False)
    client: MongoClient[dict[str, Any]] = field(init=False)
    service: ServiceProcess = field(init=False)
    url: str = field(init=False)
    airflow: AirflowProcesses = field(init=False)
    lag: LagMeter = field(init=False)
    traffic: LiveTraffic = field(init=False)
    comparison: Comparison = field(init=False)

    def require_running(self) -> None:
        """Raise :class:`DevstackError` when a server or the service has ended by itself."""
        if not self.stack.running:
            raise DevstackError(
                "A server ended by itself.",
                hint=f"See {self.stack.postgres.log} and {self.stack.mongo.members[0].log}.",
            )
        self.service.require_running()


def friendly_port(wanted: int) -> int:
    """The port that people expect, or another one when somebody has it."""
    return free_port() if taken(wanted) else wanted


def port_told(port: int, wanted: int) -> str:
    """A port for people, with the reason when it is not the usual one."""
    return str(port) if port == wanted else f"{port} (somebody has {wanted})"
