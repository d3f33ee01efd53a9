"""Broken bytes for the compiled path, for some seconds: ``python -m tests.support.fuzzing SECONDS SEED``.

The property tests compare what both paths make of broken bytes. This is for what they cannot see, a read beyond a
buffer, so it is run with the sanitizers (``make fuzz-compiled``) or in valgrind, and compares nothing.
"""

from __future__ import annotations

import random
import struct
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import bson
from bson.errors import InvalidBSON
from bson.objectid import ObjectId
from bson.timestamp import Timestamp

from replicator_service.core.codec.document_id import ExactId
from replicator_service.core.compiled import choose
from replicator_service.core.errors import ResyncRequired
from replicator_service.core.events import DATA_OPERATIONS, Change
from replicator_service.core.lines import Lines
from replicator_service.core.mapping.model import (
    ChildTable,
    ColumnType,
    DocumentCollection,
    KeepBson,
    MappedColumn,
    TypedCollection,
    tables_of,
)
from replicator_service.core.masking.door import Door
from replicator_service.core.masking.key import MaskKey
from replicator_service.core.masking.rules import KEY, Mask, MaskKind, Rules
from replicator_service.core.transform.leftovers import Leftovers
from replicator_service.core.transform.program import program_of
from tests.support.bson_bytes import array, document, element, embedded
from tests.support.bson_corpus import corpus
from tests.support.compiled import array_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from replicator_service.core.compiled import Native
    from replicator_service.core.mapping.model import CollectionMapping

_NAMES = ["a", "b", "ab", 'q"', "é", "l", "_id"]


def mappings() -> Iterator[CollectionMapping]:
    """A document table, and a typed one for each type of column."""
    yield DocumentCollection("C", "parent", KeepBson.ALWAYS)
    for kind in ColumnType:
        columns = (MappedColumn("v", ("a",), kind), MappedColumn("w", ("b", "a"), kind))
        of_element = (MappedColumn("c", ("a",), kind), MappedColumn("p", ("b", "b"), kind, from_parent=True))
        yield TypedCollection("C", "parent", columns, (ChildTable("child", ("l",), of_element),))


def doors(native: Native) -> list[Door]:
    """Rules of every kind, at every depth."""
    found = [Door(rules={"c": Rules((("a",), ("b", "a"), ("l", "a")))}, compiled=native)]
    for mask in (Mask(MaskKind.HMAC), Mask(MaskKind.KEEP_LAST, 2), Mask(MaskKind.NULL), Mask(MaskKind.TRUNCATE_IP, 8)):
        for paths in (("a",), ("b", "a")), (("*",),), (("l", "*"), ("ab", "b")):
            masks = (*((path, mask) for path in paths), (KEY, Mask(MaskKind.HMAC)))
            key = MaskKey(b"a key that is kept secret")
            found.append(
                Door(rules={"c": Rules((), masks if len(found) % 2 else masks[:-1])}, key=key, compiled=native)
            )
    return found


def raw(chance: random.Random, values: list[tuple[int, bytes]]) -> bytes:
    """A document of few names."""
    elements = [element(0x07, "_id", chance.randbytes(12))]
    for _ in range(chance.randrange(6)):
        name, (kind, value) = chance.choice(_NAMES), chance.choice(values)
        inner = element(kind, chance.choice(_NAMES), value)
        match chance.randrange(4):
            case 0:
                elements.append(embedded(name, inner))
            case 1:
                elements.append(array(name, embedded("0", inner), element(kind, "1", value)))
            case _:
                elements.append(element(kind, name, value))
    return document(*elements)


def event(chance: random.Random, inside: bytes) -> bytes:
    """A change event with a document."""
    known = {
        "_id": {"_data": "82"},
        "operationType": chance.choice(["insert", "update", "replace", "delete", "drop"]),
        "clusterTime": Timestamp(1, 2),
        "ns": {"db": "d", "coll": "c"},
        "documentKey": {"_id": chance.choice([1, "x", ObjectId()])},
    }
    return document(bson.encode(known)[4:-1], element(0x03, "fullDocument", inside))


def broken(chance: random.Random, whole: bytes) -> bytes:
    """Some bytes changed, cut or added; mostly the length at the beginning is right, so that more is read."""
    found = bytearray(whole)
    for _ in range(chance.randrange(4)):
        position = chance.randrange(4, len(found))
        match chance.randrange(5):
            case 0 if len(found) > 6:
                del found[position : position + chance.randrange(1, 5)]
            case 1:
                found[position:position] = chance.randbytes(chance.randrange(1, 5))
            case 2:
                found[position : position + 4] = chance.choice([0, 1, 4, 5, 2**31 - 1, 2**32 - 1]).to_bytes(4, "little")
            case _:
                found[position] = chance.choice([0, 1, 2, 3, 4, 5, 255, chance.randrange(256)])
    if chance.random() < 0.9:
        found[:4] = len(found).to_bytes(4, "little")
    return bytes(found)


def run(native: Native, seconds: float, seed: int) -> int:
    """Try replies until the time is over, and give how many could be taken apart."""
    chance = random.Random(seed)  # noqa: S311 - a failing seed can be run again
    values = [(kind, value) for _, kind, value in corpus() if len(value) < 300]
    programs = [
        (len(tables_of(each)), native.program(program_of(each), is_printed=is_printed))
        for each in mappings()
        for is_printed in (False, True)
    ]
    through = doors(native)
    end, count = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        raws = [raw(chance, values) for _ in range(chance.randrange(1, 4))]
        of_events = chance.random() < 0.3
        whole = array_of([event(chance, each) for each in raws] if of_events else raws)
        # Exactly these bytes in their own block, so that what reads beyond them is seen.
        whole = broken(chance, whole)
        # What is no BSON is refused, by whichever path.
        with suppress(InvalidBSON, ValueError, IndexError, struct.error, ResyncRequired):
            door = chance.choice(through)
            _ = door.events(whole) if of_events else door.documents("c", whole)
        scan = native.scan(whole, of_events=of_events)
        if scan.count < 0:
            continue
        count += 1
        if of_events:
            scan.events(None, Change, DATA_OPERATIONS, ObjectId, ExactId)
        else:
            scan.keys()
        for ordinal in range(scan.count):
            scan.part(ordinal)
            scan.document(ordinal)
        for tables, program in chance.sample(programs, 4):
            lines = [Lines() for _ in range(tables)]
            ends: list[list[int]] = [[] for _ in lines[1:]]
            for position in range(scan.count):
                program.write_ordinals(range(scan.count), position, scan, "", [], lines, ends, Leftovers("C"))
    return count


def main() -> None:
    """Run from the command line."""
    seconds, seed = float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    native = choose("on").native
    if native is not None:
        sys.stdout.write(f"{run(native, seconds, seed):,} replies with seed {seed}\n")


if __name__ == "__main__":
    main()
