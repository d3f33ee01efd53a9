"""What a history is made of: a configuration and a list of actions, both from one seed.

Actions name collections and keys, never what is there at the moment: leaving some of them out leaves the others as
they are, so a history that fails can be made shorter.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

from bson import Binary, Decimal128, Int64, MaxKey, MinKey, ObjectId

from replicator_service.core.mapping.model import (
    ChildTable,
    ColumnType,
    MappedColumn,
    Mapping,
    TypedCollection,
)
from simulation.mongo.replication import Abilities

TYPED = TypedCollection(
    "typed",
    "typed",
    (MappedColumn("n", ("n",), ColumnType.BIGINT),),
    (ChildTable("typed_items", ("items",), (MappedColumn("x", ("x",), ColumnType.INTEGER),)),),
)
TWIN = TypedCollection(
    "twin", "twin", TYPED.columns, (ChildTable("twin_items", ("items",), TYPED.children[0].columns),)
)
MAPPING = Mapping((TYPED, TWIN))
COLLECTIONS = ("typed", "twin", "plain", "Other")

IDS: tuple[Any, ...] = (
    *(1, Int64(2), 2.5, "1", "", "x", "X", "a\tb\\", True, Decimal128("7.5"), Binary(b"b", 5), MinKey(), MaxKey()),
    *({"a": 1}, {"a": 1, "b": "2"}, ObjectId("0123456789abcdef01234567"), "0123456789abcdef01234567", "long" * 400),
)


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that happens, ``after`` so many seconds since the one before it."""

    after: float
    kind: str
    arguments: tuple[Any, ...] = ()

    def __str__(self) -> str:
        told = ", ".join(repr(each)[:80] for each in self.arguments)
        return f"+{self.after:.2f}s {self.kind}({told})"


@dataclass(frozen=True, slots=True)
class Setup:
    """How a history begins, and what its world is like."""

    abilities: Abilities = field(default_factory=Abilities)
    instances: int = 1
    poll_events: int = 3
    batch_events: int = 4
    chunk_documents: int = 2
    range_documents: int = 50_000
    snapshot_workers: int = 1
    batch_seconds: float = 0.5
    stops_on_loss: bool = False
    mongo_loss: float = 0.0
    postgres_loss: float = 0.0
    delay: float = 0.02
    stay: float = 0.4
    majority_lag: float = 0.2
    """How likely a write waits for the majority."""
    is_order_odd: bool = False
    """PostgreSQL sorts text by another rule than by its bytes."""
    documents: tuple[tuple[str, Any, int], ...] = ()
    """What is there before the first start."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole history."""

    seed: int
    setup: Setup
    actions: tuple[Action, ...]
    kept: tuple[int, ...] | None = field(default=None)
    """Which of the seed's actions these are; None is all."""


_PLAIN = ("put", "update", "delete")
_FAMILIES: dict[str, tuple[str, ...]] = {
    "transactions": ("transaction", "transaction", "together"),
    "catalog": ("drop", "rename", "create", "rename", "drop"),
    "database": ("drop_database",),
    "replacing": ("out", "to_capped", "index", "create_capped", "move_away"),
    "split": ("put_large",),
    "poison": ("put_poison",),
    "crashes": ("kill", "kill", "stop", "freeze"),
    "cuts": ("cut_mongo", "cut_postgres", "end_sessions"),
    "outages": ("mongo_down", "postgres_down"),
    "elections": ("fail_over", "stall", "fail_over"),
    "oplog": ("truncate",),
    "restores": ("go_back", "begin_anew"),
    "sink": ("postgres_lose", "postgres_restore"),
    "operators": ("resync", "resync", "pace", "pause", "resume", "pause_all", "resume_all", "resync_all", "forget"),
    "refusals": ("refuse", "accept", "retry"),
    "damage": ("drop_table", "drop_column"),
}
_RARE = {"restores": 0.06, "sink": 0.1, "oplog": 0.12, "poison": 0.06, "damage": 0.06}


def plan_of(seed: int) -> Plan:
    """The history of a seed."""
    random = Random(f"plan {seed}")
    names = random.sample(COLLECTIONS, random.randint(1, 4))
    ids = random.sample(IDS, random.randint(2, 6))
    kinds = [*_PLAIN] * random.randint(2, 4)
    for family, members in _FAMILIES.items():
        if random.random() < _RARE.get(family, 0.3):
            kinds += members
    setup = _setup(random, names, ids)
    actions = tuple(_action(random, random.choice(kinds), names, ids) for _ in range(random.randint(6, 30)))
    return Plan(seed, setup, actions)


def _setup(random: Random, names: list[str], ids: list[Any]) -> Setup:
    abilities = Abilities(
        window_seconds=random.choice((300, 300, 300, 300, 5, 0)),
        remembers_catalog=random.random() < 0.3,
        expanded_events=random.random() < 0.85,
        groups_inserts=random.random() < 0.3,
        repeats_tokens=random.random() < 0.05,
        takes_uuid=random.random() < 0.85,
    )
    documents = tuple((name, each, random.randint(0, 9)) for name in names for each in ids if random.random() < 0.5)
    return Setup(
        abilities,
        instances=random.choice((1, 1, 1, 2, 3)),
        poll_events=random.randint(1, 5),
        batch_events=random.randint(1, 6),
        chunk_documents=random.randint(1, 4),
        range_documents=random.choice((1, 1, 2, 50_000)),
        snapshot_workers=random.choice((1, 2, 3)),
        batch_seconds=random.choice((0.0, 0.1, 0.5)),
        stops_on_loss=random.random() < 0.15,
        mongo_loss=random.choice((0.0, 0.0, 0.0, 0.005)),
        postgres_loss=random.choice((0.0, 0.0, 0.0, 0.005)),
        delay=random.choice((0.0, 0.02, 0.1)),
        stay=random.choice((0.1, 0.4, 0.7)),
        majority_lag=random.choice((0.0, 0.2, 0.6)),
        is_order_odd=random.random() < 0.3,
        documents=documents,
    )


def _action(random: Random, kind: str, names: list[str], ids: list[Any]) -> Action:  # noqa: C901, PLR0912 - a table of kinds
    name, other = random.choice(names), random.choice(names + list(COLLECTIONS))
    after = random.choice((0.0, 0.0, 0.01, 0.05, 0.2, 0.5, 1.5, 6.0))
    arguments: tuple[Any, ...]
    match kind:
        case "put" | "update" | "put_large" | "put_poison":
            arguments = (name, random.choice(ids), random.randint(0, 9))
        case "delete" | "refuse" | "accept":
            arguments = (name, random.choice(ids))
        case "transaction" | "together":
            writes = [
                (random.choice(_PLAIN), random.choice(names), random.choice(ids), random.randint(0, 9))
                for _ in range(random.randint(1, 7))
            ]
            arguments = (tuple(writes),)
        case "out":
            arguments = (name, tuple((each, random.randint(0, 9)) for each in ids if random.random() < 0.6))
        case "rename":
            arguments = (name, other)
        case "drop" | "create" | "create_capped" | "to_capped" | "index" | "move_away":
            arguments = (name,)
        case "resync" | "pause" | "resume" | "forget" | "drop_table" | "drop_column":
            arguments = (name,)
        case "kill" | "stop" | "freeze":
            arguments = (random.randint(0, 2), random.choice((0.0, 1.0, 20.0, 50.0)))
        case "cut_mongo" | "cut_postgres":
            arguments = (random.randint(0, 2), random.choice((0.5, 5.0, 40.0)))
        case "mongo_down" | "postgres_down" | "stall":
            arguments = (random.choice((0.2, 3.0, 30.0)),)
        case "fail_over" | "go_back":
            arguments = (random.random(),)
        case "pace":
            arguments = (random.choice((None, 1, 2, 4)), random.choice((None, 1e-3)))
        case "postgres_lose":
            arguments = (random.randint(1, 5),)
        case _:
            arguments = ()
    return Action(after, kind, arguments)
