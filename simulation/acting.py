"""What each action does to the world. One that does not apply does nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from replicator_service.core.codec.key import encode_key
from replicator_service.core.mapping.model import tables_of
from replicator_service.core.mapping.resolution import mapping_for
from replicator_service.core.ports import CollectionKind
from replicator_service.core.sessions import Pace
from simulation.mongo.server import Write
from simulation.plan import MAPPING
from simulation.postgres.control import DEAD_LETTER, PACE, PAUSE, REQUEST, RequestRow
from simulation.postgres.server import TABLES, rows_of
from simulation.postgres.storage import Transaction
from simulation.world import DATABASE, document

if TYPE_CHECKING:
    from collections.abc import Hashable

    from replicator_service.core.bson.declaration import Value
    from simulation.checker import Checker
    from simulation.network import Network
    from simulation.plan import Action
    from simulation.postgres.storage import Record
    from simulation.world import World


class Actor:
    """Does what a plan says."""

    def __init__(self, world: World, checker: Checker) -> None:
        self._world = world
        self._checker = checker

    def act(self, action: Action) -> None:
        """Do one action now."""
        self._world.trace.say("world", str(action))
        method = getattr(self, f"_{action.kind}")
        method(*action.arguments)
        self._replicate()

    def act_quietly(self, kind: str) -> None:
        """Do one action of no arguments that no plan has."""
        self._world.trace.say("world", kind)
        getattr(self, f"_{kind}")()

    def touch(self, name: str) -> None:
        """Change one document of a collection."""
        self._put(name, "touched", 1)

    def request(self, kind: str, collection: str | None) -> None:
        """Leave a request, as an operator does."""
        storage = self._world.postgres.storage
        number = storage.next_number()
        self._change(REQUEST, number, RequestRow(number, kind, collection))

    # MongoDB

    def _put(self, name: str, identity: Value, number: int) -> None:
        self._world.mongo.write([Write("replace", name, identity, document(identity, number))])

    def _update(self, name: str, identity: Value, number: int) -> None:
        self._world.mongo.write([Write("update", name, identity, document(identity, number))])

    def _delete(self, name: str, identity: Value) -> None:
        self._world.mongo.write([Write("delete", name, identity)])

    def _put_large(self, name: str, identity: Value, number: int) -> None:
        self._world.mongo.write([Write("replace", name, identity, document(identity, number), parts=2 + number % 2)])

    def _put_poison(self, name: str, identity: Value, number: int) -> None:
        self._world.mongo.write([Write("replace", name, identity, document(identity, number), is_poison=True)])

    def _transaction(self, writes: tuple[tuple[str, str, Any, int], ...]) -> None:
        self._world.mongo.write([_write(*each) for each in writes], is_transaction=True)

    def _together(self, writes: tuple[tuple[str, str, Any, int], ...]) -> None:
        """Ordinary inserts that share a cluster time, where the server does that."""
        mongo = self._world.mongo
        together = mongo.abilities.groups_inserts
        distinct = {(name, encode_key(identity)): _write("put", name, identity, n) for _, name, identity, n in writes}
        if together:
            mongo.write(list(distinct.values()))
        else:
            for each in distinct.values():
                mongo.write([each])

    def _drop(self, name: str) -> None:
        self._world.mongo.drop(name)

    def _rename(self, name: str, target: str) -> None:
        self._world.mongo.rename(name, target)

    def _create(self, name: str) -> None:
        self._world.mongo.create(name)

    def _create_capped(self, name: str) -> None:
        self._world.mongo.create(name, CollectionKind.CAPPED)

    def _to_capped(self, name: str) -> None:
        self._world.mongo.fill_temporary(name, None)

    def _out(self, name: str, documents: tuple[tuple[Any, int], ...]) -> None:
        self._world.mongo.fill_temporary(name, [document(*each) for each in documents])

    def _index(self, name: str) -> None:
        self._world.mongo.build_index(name)

    def _move_away(self, name: str) -> None:
        self._world.mongo.move_away(name)

    def _drop_database(self) -> None:
        self._world.mongo.drop_database()

    def _mongo_down(self, seconds: float) -> None:
        self._world.mongo.is_up = False
        self._world.later(seconds, "mongo is up", self._mongo_up)

    def _mongo_up(self) -> None:
        self._world.mongo.is_up = True

    def _fail_over(self, knowledge: float) -> None:
        mongo = self._world.mongo
        mongo.fail_over(int(knowledge * len(mongo.log)))

    def _stall(self, seconds: float) -> None:
        self._world.mongo.stalled_until = self._world.scheduler.now + seconds

    def _truncate(self) -> None:
        self._world.mongo.truncate()

    def _go_back(self, share: float) -> None:
        mongo = self._world.mongo
        self._checker.history_replaced()
        mongo.go_back(int(share * len(mongo.log)))

    def _begin_anew(self) -> None:
        mongo = self._world.mongo
        self._checker.history_replaced()
        mongo.begin_anew(mongo.catalog)

    # The service

    def _kill(self, number: int, seconds: float) -> None:
        number %= len(self._world.instances)
        self._world.kill(number)
        self._world.later(seconds, "restart", lambda: self._restart(number))

    def _stop(self, number: int, seconds: float) -> None:
        number %= len(self._world.instances)
        instance = self._world.instances[number]
        if instance is not None:
            instance.stopping.set()

            def restart() -> None:
                self._world.scheduler.join(instance.main)
                self._world.scheduler.sleep(seconds)
                if self._world.instances[number] is instance:
                    self._world.start_instance(number)

            self._world.scheduler.start(self._world.own, "restart", restart)

    def _freeze(self, number: int, seconds: float) -> None:
        instance = self._world.instances[number % len(self._world.instances)]
        if instance is not None:
            instance.process.freeze()
            self._world.later(seconds, "thaw", instance.process.thaw)

    def _restart(self, number: int) -> None:
        if self._world.instances[number] is None:
            self._world.start_instance(number)

    def _cut_mongo(self, number: int, seconds: float) -> None:
        self._partition(self._world.mongo_network, number, seconds)

    def _cut_postgres(self, number: int, seconds: float) -> None:
        self._partition(self._world.postgres_network, number, seconds)

    def _partition(self, network: Network, number: int, seconds: float) -> None:
        instance = self._world.instances[number % len(self._world.instances)]
        if instance is not None:
            network.partitioned.add(instance.process)
            self._world.later(seconds, "reconnect", lambda: network.partitioned.discard(instance.process))

    # PostgreSQL

    def _end_sessions(self) -> None:
        self._world.postgres.end_sessions()

    def _postgres_down(self, seconds: float) -> None:
        self._world.postgres.is_up = False
        self._world.postgres.end_sessions()
        self._world.later(seconds, "postgres is up", self._postgres_up)

    def _postgres_up(self) -> None:
        self._world.postgres.is_up = True

    def _postgres_lose(self, commits: int) -> None:
        self._world.postgres.lose(commits)
        self._checker.commits_lost()

    def _postgres_restore(self) -> None:
        self._world.postgres.restore()
        self._checker.commits_lost()

    def _refuse(self, name: str, identity: Value) -> None:
        self._world.postgres.refused.add((_table(name), encode_key(identity)))

    def _accept(self, name: str, identity: Value) -> None:
        self._world.postgres.refused.discard((_table(name), encode_key(identity)))

    def _retry(self) -> None:
        dead_letters = self._world.postgres.storage.committed.get(DEAD_LETTER, {})
        for key, dead_letter in dead_letters.items():
            self._change(DEAD_LETTER, key, replace(dead_letter, is_retried=True))
        self.request("retry", None)

    def _tamper(self, name: str, identity: Value) -> None:
        """Delete a row by hand. No plan has this: nobody could notice but a reconciliation."""
        self._change(rows_of(_table(name)), encode_key(identity), None)

    def _drop_table(self, name: str) -> None:
        table = tables_of(mapping_for(MAPPING, name, ()))[-1].name
        storage = self._world.postgres.storage
        if storage.committed.get(TABLES, {}).get(table) is not None and not storage.is_locked():
            self._checker.damaged(name)
            transaction = Transaction(storage)
            transaction.delete(TABLES, table)
            for key in list(transaction.rows(rows_of(table))):
                transaction.delete(rows_of(table), key)
            transaction.commit()

    def _drop_column(self, name: str) -> None:
        table = tables_of(mapping_for(MAPPING, name, ()))[0].name
        storage = self._world.postgres.storage
        shape = storage.committed.get(TABLES, {}).get(table)
        if shape is not None and not storage.is_locked():
            self._checker.damaged(name)
            left = tuple(column for column in shape.columns if column[0] != "_bson")
            self._change(TABLES, table, replace(shape, columns=left))

    # Operators

    def _resync(self, name: str) -> None:
        self.request("resync", name)

    def _resync_all(self) -> None:
        self.request("resync", None)

    def _forget(self, name: str) -> None:
        self.request("forget", name)

    def _pause(self, name: str) -> None:
        self.request("pause", name)

    def _resume(self, name: str) -> None:
        self.request("resume", name)

    def _pause_all(self) -> None:
        self._change(PAUSE, DATABASE, "paused")

    def _pace(self, workers: int | None, max_mb_s: float | None) -> None:
        self._change(PACE, DATABASE, Pace(workers, max_mb_s))

    def _resume_all(self) -> None:
        self._change(PAUSE, DATABASE, None)

    def _change(self, relation: str, key: Hashable, value: Record) -> None:
        """One statement of somebody else's, unless a transaction has the row locked."""
        storage = self._world.postgres.storage
        if storage.is_locked(relation, key):
            return
        transaction = Transaction(storage)
        if value is None:
            transaction.delete(relation, key)
        else:
            transaction.put(relation, key, value)
        transaction.commit()

    def _replicate(self) -> None:
        """Let the majority have what was written, sooner or later."""
        world = self._world
        if world.scheduler.now >= world.mongo.stalled_until and not world.mongo_network.chance(
            world.setup.majority_lag
        ):
            world.mongo.replicate()


def _write(operation: str, name: str, identity: Value, number: int) -> Write:
    if operation == "delete":
        return Write("delete", name, identity)
    return Write("replace" if operation == "put" else "update", name, identity, document(identity, number))


def _table(name: str) -> str:
    return mapping_for(MAPPING, name, ()).table
