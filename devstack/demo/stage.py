"""What the steps of the demo have put up so far, and how all of it is taken down."""

from __future__ import annotations

import fcntl
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devstack.errors import DevstackError
from devstack.ports import free_port, taken
from devstack.stack import postgres_place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import ExitStack

    from pymongo import MongoClient

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
    stack: Stack = field(init=False)
    dsn: str = field(init=False)
    client: MongoClient[dict[str, Any]] = field(init=False)
    service: ServiceProcess = field(init=False)
    url: str = field(init=False)
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


@contextmanager
def own_directory(directory: Path = DIRECTORY) -> Iterator[Path]:
    """An empty directory for this demo alone. Afterwards the logs stay, the databases go.

    Raises :class:`DevstackError` while another demo runs.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with (directory.parent / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DevstackError(
                "Another demo of this checkout is running.", hint="End it with Ctrl-C in its terminal first."
            ) from None
        _remove(directory, postgres_place(directory, POSTGRES_VERSION))
        directory.mkdir()
        try:
            yield directory
        finally:
            _remove_all_but_logs(directory)
            postgres = postgres_place(directory, POSTGRES_VERSION)
            if not postgres.is_relative_to(directory):
                _remove(postgres)


def friendly_port(wanted: int) -> int:
    """The port that people expect, or another one when somebody has it."""
    return free_port() if taken(wanted) else wanted


def _remove_all_but_logs(directory: Path) -> None:
    _remove(*directory.glob("*/data"), *directory.glob("*/*/data"))
    for file in directory.rglob("*"):
        if file.is_file() and file.suffix != ".log":
            file.unlink(missing_ok=True)


def _remove(*places: Path) -> None:
    for place in places:
        shutil.rmtree(place, ignore_errors=True)
