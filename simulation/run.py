"""One history from its beginning to its end, and what it says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from replicator_service.core.errors import ReplicatorError
from replicator_service.runtime.state.health import State
from simulation.acting import Actor
from simulation.checker import Checker
from simulation.mongo.replication import EPOCH
from simulation.postgres.control import PAUSE, REQUEST
from simulation.scheduler import Stuck
from simulation.world import DATABASE, World

if TYPE_CHECKING:
    from simulation.plan import Plan

_DRAIN_SECONDS = 600.0
_STOP_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a history. ``violation`` is None when everything held."""

    violation: str | None
    commits: int
    turns: int
    seconds: float
    lines: list[str] = field(default_factory=list)


def run(plan: Plan, *, is_traced: bool = False) -> Outcome:
    """Run one history."""
    world = World(plan.seed, plan.setup, is_traced=is_traced)
    checker = Checker(world)
    director = Director(world, checker, plan)
    world.scheduler.start(world.own, "clock", director.tick)
    world.scheduler.start(world.own, "director", director.direct)
    try:
        world.scheduler.run(lambda: director.is_over or checker.violation is not None or bool(world.scheduler.failed))
    except Stuck as stuck:
        checker.fail(f"{stuck}; {director.waits_for}")
    for task in world.scheduler.failed:
        checker.fail(f"{task.process.name} {task.name} ended: {_told(task.error)}")
    world.scheduler.close()
    violation = None if checker.violation is None else str(checker.violation)
    return Outcome(violation, checker.commits, world.scheduler.turns, world.scheduler.now, world.trace.lines)


class Director:
    """Follows the plan, then lets everything heal, and sees whether the service gets done."""

    def __init__(self, world: World, checker: Checker, plan: Plan) -> None:
        self._world = world
        self._checker = checker
        self._plan = plan
        self._actor = Actor(world, checker)
        self.is_over = False
        self.waits_for = "the plan"

    def tick(self) -> None:
        """MongoDB's own life: the majority follows, and now and then a no-op is written."""
        world = self._world
        seconds = 0
        while True:
            world.scheduler.sleep(0.5)
            seconds += 1
            if seconds % 20 == 0:
                world.mongo.tick()
            if world.scheduler.now >= world.mongo.stalled_until:
                world.mongo.replicate()

    def direct(self) -> None:
        """Everything, in order."""
        world = self._world
        for number in world.instances:
            world.start_instance(number)
        for action in self._plan.actions:
            if action.after:
                world.scheduler.sleep(action.after)
            else:
                world.scheduler.pause()
            self._actor.act(action)
        self._heal()
        self._drain()
        self._stop()
        self.is_over = True

    def _heal(self) -> None:
        world = self._world
        world.trace.say("world", "everything heals")
        world.mongo.is_up = world.postgres.is_up = True
        world.mongo.stalled_until = 0.0
        for network in (world.mongo_network, world.postgres_network):
            network.partitioned.clear()
            network.loss = 0.0
        self._actor.act_quietly("resume_all")
        for number, instance in world.instances.items():
            if instance is None:
                world.start_instance(number)
            else:
                instance.process.thaw()
        # Whatever comes from here on has a later time than all that was ever seen, whichever server it was: a time that
        # another server had in advance is what the service may be waiting for.
        world.scheduler.sleep(1.1 + max(0.0, (world.mongo.highest_time >> 32) - EPOCH - world.scheduler.now))
        # Somebody who has damaged a table is noticed by a write.
        for name in sorted(world.mongo.catalog):
            self._actor.touch(name)
        world.mongo.tick()
        world.mongo.replicate()

    def _drain(self) -> None:
        world, storage = self._world, self._world.postgres.storage
        target = world.mongo.latest_time
        end = world.scheduler.now + _DRAIN_SECONDS
        asked = -100.0
        while True:
            world.scheduler.sleep(0.5)
            if storage.committed.get(PAUSE):
                self._actor.act_quietly("resume_all")
            for number, instance in world.instances.items():
                if instance is None or instance.main.is_done:
                    world.start_instance(number)
                elif instance.health.report().state is State.RESYNC_REQUIRED and world.scheduler.now - asked > 60:
                    asked = world.scheduler.now
                    self._actor.act_quietly("resync_all")
            unfinished = self._checker.unfinished(target)
            if unfinished is None and any(not row.is_handled for row in storage.committed.get(REQUEST, {}).values()):
                unfinished = "a request is open"
            if unfinished is None:
                self._checker.final()
                return
            self.waits_for = unfinished
            if world.scheduler.now > end:
                reports = [each.health.report() for each in world.instances.values() if each is not None]
                told = "; ".join(f"{each.role} {each.state} {each.error}" for each in reports)
                self._checker.fail(f"the service does not get done: {unfinished} ({told})")
                return

    def _stop(self) -> None:
        world = self._world
        world.trace.say("world", "everything stops")
        instances = [each for each in world.instances.values() if each is not None]
        for instance in instances:
            instance.stopping.set()
        end = world.scheduler.now + _STOP_SECONDS
        while not all(each.main.is_done for each in instances):
            if world.scheduler.now > end:
                self._checker.fail("the service does not stop")
                return
            world.scheduler.sleep(0.5)


def _told(error: BaseException | None) -> str:
    if isinstance(error, ReplicatorError):
        return f"{type(error).__name__}: {error.message}"
    return repr(error)


__all__ = ["DATABASE", "Director", "Outcome", "run"]
