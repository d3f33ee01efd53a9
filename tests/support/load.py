"""Writes that do not end, so that a fault always meets the service in the middle of something."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING, Any, Self

from pymongo import DeleteOne, InsertOne, MongoClient, ReplaceOne, UpdateOne
from pymongo.errors import PyMongoError

from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from types import TracebackType

_BULK = 40
_PAUSE_SECONDS = 0.003


class Load:
    """Inserts, updates, replaces and deletes in one collection, with transactions in between.

    Every transaction gives two documents, `left` and `right`, the same number: whoever sees two different ones has
    seen half a transaction. Servers that are away are tried again.
    """

    def __init__(self, uri: str, database: str, collection: str = "busy") -> None:
        self._client: MongoClient[dict[str, Any]] = MongoClient(uri, serverSelectionTimeoutMS=20_000, w="majority")
        self._collection = self._client[database][collection]
        self._random = random.Random(7)  # noqa: S311 - what is written has to vary, not to be secret
        self._stopping = threading.Event()
        self._next = 0
        self.rounds = 0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End, and wait for the last write. Idempotent."""
        self._stopping.set()
        self._thread.join(60)
        self._client.close()

    def go_on(self, rounds: int = 20, timeout: float = 30.0) -> None:
        """Wait until so many more rounds have been written."""
        until = self.rounds + rounds
        wait_until(lambda: self.rounds >= until, timeout=timeout, message="writes to MongoDB")

    def _run(self) -> None:
        while not self._stopping.wait(_PAUSE_SECONDS):
            try:
                self._collection.bulk_write([self._one() for _ in range(_BULK)], ordered=False)
                if self.rounds % 5 == 0:
                    self._transaction()
                self.rounds += 1
            except PyMongoError:
                continue

    def _one(self) -> InsertOne[dict[str, Any]] | UpdateOne | ReplaceOne[dict[str, Any]] | DeleteOne:
        number = self._random.randrange(self._next + 1)
        match self._random.randrange(6):
            case 0 | 1 | 2:
                self._next += 1
                return InsertOne({"_id": self._next, "n": 0, "text": "x" * self._random.randrange(200)})
            case 3:
                return UpdateOne({"_id": number}, {"$inc": {"n": 1}})
            case 4:
                return ReplaceOne({"_id": number}, {"n": -1, "list": [number]})
            case _:
                return DeleteOne({"_id": number})

    def _transaction(self) -> None:
        with self._client.start_session() as session, session.start_transaction():
            for name in ("left", "right"):
                self._collection.update_one({"_id": name}, {"$set": {"n": self.rounds}}, upsert=True, session=session)
