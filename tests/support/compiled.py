"""The compiled path beside the pure Python one, in one process."""

from __future__ import annotations

from dataclasses import dataclass
from shutil import which
from typing import TYPE_CHECKING, Any

import pytest

from replicator_service.core.compiled import Native, choose
from replicator_service.core.events import Change, Operation
from replicator_service.core.mapping.model import tables_of
from replicator_service.core.replies import Reply
from replicator_service.core.rows import Encoder
from replicator_service.core.transform import Transform, compile_transform
from replicator_service.core.transform.program import program_of
from tests.support.bson_bytes import document, element

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replicator_service.core.mapping.model import CollectionMapping

TIME = 1_700_000_000 << 32


def native_or_skip() -> Native:
    """What is compiled. A machine without a C compiler has nothing to compare; one with it must have compiled."""
    chosen = choose("auto")
    if chosen.native is None:
        if which("cc") is None:
            pytest.skip(f"{chosen.reason}, and there is no C compiler")
        pytest.fail(f"{chosen.reason}: run `python -m replicator_service.core.compiled.build`")
    return chosen.native


class ReadBy(Reply):
    """A reply for one of the two paths, whatever this process has chosen."""

    __slots__ = ()

    def __init__(self, array: bytes, native: Native | None, *, field: str | None = None) -> None:
        super().__init__(array, field=field)
        found = None if native is None else native.scan(array, of_events=field is not None)
        self._scan = None if found is None or found.count < 0 else found


@dataclass(frozen=True, slots=True)
class Written:
    """Everything that comes of some documents."""

    rows: Any
    rejected: list[tuple[int, str]]
    altered: int
    findings: list[Any]


def transform_by(mapping: CollectionMapping, native: Native | None) -> Transform:
    """The transform of one of the two paths."""
    both = compile_transform(mapping)
    program = None if native is None else native.program(program_of(mapping))
    return Transform(mapping.collection, tables_of(mapping), both._rows, program)


def written_by(native: Native | None, mapping: CollectionMapping, raws: Sequence[bytes]) -> Written:
    """Encode documents as a snapshot does; those whose ``_id`` cannot be read are not part of it."""
    reply = ReadBy(array_of(raws), native)
    transform = transform_by(mapping, native)
    changes = [
        Change(mapping.collection, "", Operation.READ, TIME, reply, ordinal, None) for ordinal in range(reply.count)
    ]
    group = Encoder(lambda _: transform).encode(changes)
    rejected = [(each.change.ordinal, each.error) for each in group.rejected]
    return Written(group.collections.get(mapping.collection), rejected, group.altered, group.findings)


def array_of(raws: Sequence[bytes]) -> bytes:
    """A reply's array."""
    return document(*[element(0x03, str(index), raw) for index, raw in enumerate(raws)])
