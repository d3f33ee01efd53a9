"""How collections share parts."""

from __future__ import annotations

import json
from itertools import chain
from time import process_time

import pytest

from replicator_service.reconcile.parts import Part
from replicator_service.reconcile.shares import FEW, PartLimits, enlarged, shares
from replicator_service.source.read.size import Size

CUT = PartLimits(documents=2_000_000, size=2**31)


def test_a_hundred_thousand_collections_share_few_parts_and_each_has_its_place() -> None:
    sizes = {f"collection {number:06d}": Size(number % 7, 0) for number in range(100_000)}
    began = process_time()
    found = shares(CUT, sizes, 1_024)
    assert process_time() - began < 2
    assert list(chain.from_iterable(found)) == sorted(sizes)
    assert FEW / 2 < len(found) <= FEW
    assert max(map(len, found)) < 2 * 100_000 / len(found)
    assert len(json.dumps([Part(tuple(names)).as_json() for names in found])) < 3_000_000


def test_a_few_collections_each_have_a_part_of_their_own() -> None:
    assert shares(CUT, {"b": Size(5, 0), "a": Size(1_999_999, 0)}, 1_024) == [("a",), ("b",)]


def test_a_collection_that_is_large_among_small_ones_shares_with_few() -> None:
    sizes = {f"{number:04d}": Size(1_000_000 if number == 500 else 10, 0) for number in range(1_000)}
    (share,) = [names for names in shares(CUT, sizes, None) if "0500" in names]
    assert len(share) < 10


@pytest.mark.parametrize("most", [1, 7, 300, 1_024])
def test_there_are_never_more_parts_than_asked_for(most: int) -> None:
    sizes = {f"{number:04d}": Size(10 ** (number % 10), 0) for number in range(400)}
    limits = enlarged(CUT, sizes, most)
    large = sum(limits.ranges(size) + 1 for size in sizes.values() if limits.ranges(size) > 1)
    small = {name: size for name, size in sizes.items() if limits.ranges(size) == 1}
    found = shares(limits, small, most - large)
    assert large + len(found) <= most
    assert list(chain.from_iterable(found)) == sorted(small)


def test_parts_are_as_large_as_asked_for_where_that_fits() -> None:
    assert enlarged(CUT, {"a": Size(10**9, 0)}, 1_024) == CUT
    assert enlarged(CUT, {"a": Size(10**10, 0)}, None) == CUT


def test_a_shared_part_is_the_same_after_its_way_through_json() -> None:
    part = Part(("a", "b", "c"), documents=12)
    assert Part.from_json(json.loads(json.dumps(part.as_json()))) == part
    assert part.label == "a to c (3 collections)"
    assert [each.label for each in part.singles()] == ["a", "b", "c"]
