"""MongoDB twice: the real server and the model, written to and read in the same words."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any, Protocol

from replicator_service.core.position import to_cluster_time
from simulation.mongo.server import ReplicaSet, Write
from simulation.mongo.source import ModelSource
from simulation.network import Network
from simulation.scheduler import Process, Scheduler

if TYPE_CHECKING:
    from collections.abc import Callable

    from replicator_service.core.ports import CollectionKind
    from replicator_service.core.ports import Source as SourcePort
    from simulation.mongo.replication import Abilities
    from tests.support.databases import Source

Document = dict[str, Any]


class MongoSide(Protocol):
    """One of the two. ``source`` reads; each writing method is one operation, and returns when a majority has it."""

    @property
    def source(self) -> SourcePort: ...
    def put(self, name: str, document: Document) -> None: ...
    def update(self, name: str, identity: Any, number: int) -> None: ...
    def delete(self, name: str, identity: Any) -> None: ...
    def transaction(self, writes: list[tuple[str, Document]]) -> None: ...
    def create(self, name: str, kind: CollectionKind | None = None) -> None: ...
    def drop(self, name: str) -> None: ...
    def rename(self, name: str, target: str) -> None: ...
    def index(self, name: str) -> None: ...
    def out(self, name: str, documents: list[Document]) -> None: ...
    def to_capped(self, name: str) -> None: ...
    def drop_database(self) -> None: ...
    def elsewhere(self) -> None:
        """Write to another database: the oplog moves, the stream has no event."""


class RealMongo:
    """The server."""

    def __init__(self, source: Source, port: SourcePort) -> None:
        self._client = source.client
        self._db = source.db
        self.source = port

    def put(self, name: str, document: Document) -> None:
        self._db[name].replace_one({"_id": document["_id"]}, document, upsert=True)

    def update(self, name: str, identity: Any, number: int) -> None:
        self._db[name].update_one({"_id": identity}, {"$set": {"n": number}})

    def delete(self, name: str, identity: Any) -> None:
        self._db[name].delete_one({"_id": identity})

    def transaction(self, writes: list[tuple[str, Document]]) -> None:
        with self._client.start_session() as session, session.start_transaction():
            for name, document in writes:
                self._db[name].replace_one({"_id": document["_id"]}, document, upsert=True, session=session)

    def create(self, name: str, kind: CollectionKind | None = None) -> None:
        options: dict[str, Any] = {"capped": True, "size": 100_000} if kind == "capped" else {}
        self._db.create_collection(name, **options)

    def drop(self, name: str) -> None:
        self._db[name].drop()

    def rename(self, name: str, target: str) -> None:
        self._db[name].rename(target, dropTarget=True)

    def index(self, name: str) -> None:
        self._db[name].create_index("n")

    def out(self, name: str, documents: list[Document]) -> None:
        self._db["out_source"].insert_many(documents)
        self._db["out_source"].aggregate([{"$out": name}])

    def to_capped(self, name: str) -> None:
        self._db.command({"convertToCapped": name, "size": 100_000})

    def drop_database(self) -> None:
        self._client.drop_database(self._db.name)

    def elsewhere(self) -> None:
        self._client["contract_elsewhere"]["ticks"].insert_one({})


class Alone(Scheduler):
    """A scheduler without tasks: the caller always has the turn, and only waiting takes time."""

    def __init__(self) -> None:
        super().__init__(Random(0), stay=1.0)  # noqa: S311 - a seed

    def wait(self, seconds: float | None = None) -> bool:
        self.now += seconds or 0.0
        return False


class ModelMongo:
    """The model."""

    def __init__(self, abilities: Abilities) -> None:
        scheduler = Alone()
        self._server = ReplicaSet(scheduler, "origin", abilities)
        process = Process(scheduler, "test")
        self.source = ModelSource(self._server, Network(scheduler, delay=0.0), process, poll_events=1_000)

    def put(self, name: str, document: Document) -> None:
        self._do(lambda: self._server.write([Write("replace", name, document["_id"], document)]))

    def update(self, name: str, identity: Any, number: int) -> None:
        self._do(lambda: self._server.write([Write("update", name, identity, {"_id": identity, "n": number})]))

    def delete(self, name: str, identity: Any) -> None:
        self._do(lambda: self._server.write([Write("delete", name, identity)]))

    def transaction(self, writes: list[tuple[str, Document]]) -> None:
        wanted = [Write("replace", name, document["_id"], document) for name, document in writes]
        self._do(lambda: self._server.write(wanted, is_transaction=True))

    def create(self, name: str, kind: CollectionKind | None = None) -> None:
        self._do(lambda: self._server.create(name, *([kind] if kind else [])))

    def drop(self, name: str) -> None:
        self._do(lambda: self._server.drop(name))

    def rename(self, name: str, target: str) -> None:
        self._do(lambda: self._server.rename(name, target))

    def index(self, name: str) -> None:
        self._do(lambda: self._server.build_index(name))

    def out(self, name: str, documents: list[Document]) -> None:
        for document in documents:
            self.put("out_source", document)
        self._do(lambda: self._server.fill_temporary(name, documents))

    def to_capped(self, name: str) -> None:
        self._do(lambda: self._server.fill_temporary(name, None))

    def drop_database(self) -> None:
        self._do(self._server.drop_database)

    def elsewhere(self) -> None:
        self._do(self._server.tick)

    def _do(self, write: Callable[[], None]) -> None:
        write()
        self._server.replicate()


def time_of(event: Document) -> int:
    """The cluster time of an event."""
    return to_cluster_time(event["clusterTime"])
