"""Ranges of a collection that are read beside each other.

They are cut at documents that exist, in the order of ``_id``. The last one ends with the largest ``_id`` at the time
when the snapshot began: it never chases documents that are inserted meanwhile, since the stream brings those.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from replicator_service.core.errors import SnapshotUnavailable
from replicator_service.core.sessions import Range
from replicator_service.pipeline.reading import exact_key

if TYPE_CHECKING:
    from replicator_service.core.ports import Source
    from replicator_service.pipeline.reading import Reads

_MOST = 64


def split(source: Source, reads: Reads, name: str, number: int, *, at: int, uuid: bytes | None) -> list[Range]:
    """About so many ranges of about the same size, of a collection as it is at ``at``; one without an end, if need be.

    What exists at one time is in order, and not behind what is the last then.
    """
    sampled = source.boundaries(name, min(number, _MOST)) if number > 1 else []
    places = {exact_key(each): each for each in sampled}
    try:
        existing = reads.existing_ids(name, list(places.values()), at=at, uuid=uuid) if places else set()
        last = source.last_id(name, at=at, uuid=uuid)
    except SnapshotUnavailable:
        last = None
    ends: list[bytes | None] = [None]
    if last is not None:
        ends = [place for key, place in places.items() if key in existing and key != exact_key(last)]
        ends.append(last)
    return [Range(number, place, upto) for number, (place, upto) in enumerate(pairwise([None, *ends]))]
