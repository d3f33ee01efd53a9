"""The world of one history: both servers, the service's instances, and whoever acts on them."""

from __future__ import annotations

import random as shared_random
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from replicator_service.app.service import Service
from replicator_service.configuration.settings import OnHistoryLost, Settings
from replicator_service.pipeline.loop import Pace
from replicator_service.pipeline.term import Limits
from replicator_service.runtime.state.health import Health
from simulation.mongo.server import ReplicaSet, Write
from simulation.mongo.source import ModelSource
from simulation.network import Network
from simulation.plan import MAPPING
from simulation.postgres.leader import ModelLeaderSession
from simulation.postgres.operator import ModelOperatorSession
from simulation.postgres.server import Server
from simulation.scheduler import Process, Scheduler
from simulation.threads import SimulatedEvent, SimulatedThreads

if TYPE_CHECKING:
    from replicator_service.core.bson.declaration import Value
    from replicator_service.core.errors import ConfigurationError, ReplicatorError
    from simulation.mongo.history import Entry
    from simulation.plan import Setup
    from simulation.scheduler import Task

DATABASE = "origin"
LEASE_SECONDS = 15.0
_OPTIONS: dict[str, Any] = {
    "mongo_uri": SecretStr("mongodb://model"),
    "postgres_dsn": SecretStr("postgresql://model"),
    "mongo_database": DATABASE,
    "lease_seconds": LEASE_SECONDS,
}
_SETTINGS = {policy: Settings(**_OPTIONS, on_history_lost=policy) for policy in OnHistoryLost}


class Trace:
    """What happened, for people. Nothing is kept unless it was asked for."""

    def __init__(self, scheduler: Scheduler, *, is_kept: bool) -> None:
        self._scheduler = scheduler
        self.is_kept = is_kept
        self.lines: list[str] = []

    def say(self, who: str, what: str) -> None:
        """One line."""
        if self.is_kept:
            self.lines.append(f"{self._scheduler.now:9.3f}  {who:<12} {what}")


class Log:
    """The service's log, into the trace."""

    def __init__(self, trace: Trace, name: str) -> None:
        self._trace = trace
        self._name = name

    def info(self, event: str, **fields: object) -> None:
        """Something worth a line."""
        self._trace.say(self._name, f"{event} {fields}")

    warning = info


@dataclass(slots=True)
class Instance:
    """One process of the service, as long as it lives."""

    process: Process
    health: Health
    stopping: SimulatedEvent
    main: Task


class Servers:
    """Opens sessions with the models, for one process."""

    def __init__(self, world: World, process: Process) -> None:
        self._world = world
        self._process = process

    def open_source(self) -> ModelSource:
        """A session with MongoDB."""
        world = self._world
        world.mongo_network.travel(self._process)
        world.mongo.require_up()
        return ModelSource(world.mongo, world.mongo_network, self._process, poll_events=world.setup.poll_events)

    def open_leader(self) -> ModelLeaderSession:
        """A session with PostgreSQL."""
        world = self._world
        return ModelLeaderSession(world.postgres, world.postgres_network, self._process, DATABASE)

    def open_operator(self) -> ModelOperatorSession:
        """Another, to look with."""
        world = self._world
        return ModelOperatorSession(world.postgres, world.postgres_network, self._process, DATABASE)

    @staticmethod
    def explained(error: ConfigurationError) -> ReplicatorError:
        """The same error."""
        return error


class World:
    """Everything there is in one history."""

    def __init__(self, seed: int, setup: Setup, *, is_traced: bool = False) -> None:
        # tenacity draws its pauses from the shared generator.
        shared_random.seed(seed)
        self.setup = setup
        self.scheduler = Scheduler(Random(f"run {seed}"), stay=setup.stay)
        self.trace = Trace(self.scheduler, is_kept=is_traced)
        self.mongo = ReplicaSet(self.scheduler, DATABASE, setup.abilities)
        self.postgres = Server(self.scheduler)
        self.mongo_network = Network(self.scheduler, loss=setup.mongo_loss, delay=setup.delay)
        self.postgres_network = Network(self.scheduler, loss=setup.postgres_loss, delay=setup.delay)
        self.own = Process(self.scheduler, "world")
        self.instances: dict[int, Instance | None] = dict.fromkeys(range(setup.instances))
        if setup.is_order_odd:
            self.postgres.order = _odd_order
        if is_traced:
            self.mongo.on_entry = self._tell_entry
            self.postgres.on_statement = self._tell_statement
        for name, identity, number in setup.documents:
            self.mongo.write([Write("insert", name, identity, document(identity, number))])
        self.mongo.replicate()

    def start_instance(self, number: int) -> None:
        """Start a process of the service."""
        process = Process(self.scheduler, f"instance {number}")
        threads = SimulatedThreads(self.scheduler, process)
        health = Health(DATABASE, clock=threads.monotonic)
        stopping = threads.event()
        setup = self.setup
        service = Service(
            _SETTINGS[OnHistoryLost.STOP if setup.stops_on_loss else OnHistoryLost.RESYNC],
            MAPPING,
            health=health,
            log=Log(self.trace, process.name),
            servers=Servers(self, process),
            threads=threads,
            limits=Limits(
                poll_events=setup.poll_events,
                batch_events=setup.batch_events,
                inbox_bytes=2_000,
                outbox_groups=1,
                chunk_documents=setup.chunk_documents,
                range_documents=setup.range_documents,
                snapshot_workers=setup.snapshot_workers,
                pace=Pace(batch_seconds=setup.batch_seconds, idle_seconds=1e9),
            ),
        )
        main = self.scheduler.start(process, "main", lambda: service.run(stopping))
        self.instances[number] = Instance(process, health, stopping, main)

    def kill(self, number: int) -> None:
        """End a process where it is; the server notices at once, or only after a while."""
        instance = self.instances.get(number)
        if instance is not None:
            instance.process.kill()
            self.mongo_network.partitioned.discard(instance.process)
            self.postgres_network.partitioned.discard(instance.process)
            for session in list(self.postgres.sessions):
                if session.process is instance.process:
                    if self.postgres_network.chance(0.8):
                        session.end()
                    else:
                        self.postgres.end_later(session, self.postgres_network.number(1, 20))
            self.instances[number] = None

    def _tell_entry(self, entry: Entry) -> None:
        self.trace.say("oplog", f"{entry.time >> 32}.{entry.time & 0xFFFFFFFF} {entry.told}")

    def _tell_statement(self, process: Process, told: str) -> None:
        self.trace.say(process.name, told)

    def later(self, seconds: float, name: str, act: Any) -> None:  # noqa: ANN401 - a callable without arguments
        """Do something after so many seconds."""

        def wait_and_act() -> None:
            self.scheduler.sleep(seconds)
            act()

        self.scheduler.start(self.own, name, wait_and_act)


def document(identity: Value, number: int) -> dict[str, Any]:
    """A document whose content is known by a number."""
    return {"_id": identity, "n": number, "items": [{"x": each} for each in range(number % 4)]}


def _odd_order(text: str) -> tuple[str, ...]:
    """As a collation that looks at letters first, and at case last."""
    return ("".join(each for each in text.lower() if each.isalnum()), text)
