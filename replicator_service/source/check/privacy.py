"""What a sample of the documents says of the rules: what looks personal and crosses, and which rules meet nothing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import bson
from bson.errors import InvalidBSON

from replicator_service.core.codec import CODEC_OPTIONS, TOLERANT_OPTIONS
from replicator_service.core.errors import ReplicatorError
from replicator_service.core.findings import Level, Problem, finding
from replicator_service.core.masking.personal import MASKS, Sightings, Suspicion, is_covered, reaches, unknown_paths
from replicator_service.core.masking.rules import KEY, NO_RULES
from replicator_service.source.connect.connection import connect, disconnect, read_only_database
from replicator_service.source.read.catalog import list_collections
from replicator_service.source.read.sampling import Bounds, sample
from replicator_service.source.read.size import collection_size

if TYPE_CHECKING:
    from replicator_service.core.findings import Checklist
    from replicator_service.core.mapping.model import Mapping
    from replicator_service.core.masking.rules import Rules
    from replicator_service.source.connect.connection import MongoDatabase

PERSONAL = "personal data"
RULES = "rules of privacy"

_BOUNDS = Bounds(documents=200, size=4 * 2**20, seconds=3.0, scan_bytes=64 * 2**20)
_ALL_SECONDS = 20.0
"""What is not looked at within this is named."""


def check_privacy(uri: str, name: str, mapping: Mapping, checks: Checklist) -> None:
    """Look at a sample of each collection that crosses; two lines."""
    client = connect(uri, app_name="replicator check")
    try:
        _check(read_only_database(client, name), mapping, checks)
    except ReplicatorError:
        # Why the server cannot be read is another check's line.
        checks.skip(PERSONAL)
        checks.skip(RULES)
    finally:
        disconnect(client)


def _check(database: MongoDatabase, mapping: Mapping, checks: Checklist) -> None:
    rules = mapping.rules
    suspected: list[Problem] = []
    unmet: list[Problem] = []
    often: list[str] = []
    looked, left = 0, 0
    end = time.monotonic() + _ALL_SECONDS
    for name, found in sorted(list_collections(database).items()):
        if not found.is_streamed or not mapping.selection.crosses(name):
            continue
        if time.monotonic() > end:
            left += 1
            continue
        looked += 1
        seen = _seen(database, name)
        of_this = rules.get(name, NO_RULES)
        known = [path for collection, path in mapping.acknowledged if collection == name]
        suspected += [
            _problem(name, each)
            for each in seen.suspicions()
            if not is_covered(of_this, each.path) and not any(reaches(path, each.path) for path in known)
        ]
        unmet += _unmet(name, of_this, seen)
        often += [
            f"{name}: {'.'.join(path)} is sometimes an array, of which each value is masked"
            for path, _ in of_this.masks
            if 0 < seen.arrays[path] < seen.counts[path]
        ]
    for name in sorted(set(rules) - set(list_collections(database))):
        unmet.append(Problem(f"there is no collection {name}", "Look for a misspelled name.", Level.WARN))
    more = f"; {left} collections were not looked at, for lack of time" if left else ""
    checks.findings.append(finding(PERSONAL, suspected, f"nothing in samples of {looked} collections{more}"))
    told = "; ".join([f"of {len(rules)} collections", *often])
    checks.findings.append(finding(RULES, unmet, told))


def _seen(database: MongoDatabase, name: str) -> Sightings:
    seen = Sightings()
    for raw in sample(database, name, collection_size(database, name), _BOUNDS, clock=time.monotonic):
        try:
            seen.add(bson.decode(raw, CODEC_OPTIONS))
        except (InvalidBSON, UnicodeDecodeError):
            seen.add(bson.decode(raw, TOLERANT_OPTIONS))
    return seen


def _problem(collection: str, each: Suspicion) -> Problem:
    path = ".".join(each.path)
    rule = f"mask: {{{path}: {MASKS[each.what]}}}, or exclude: [{path}]"
    if each.path[:1] == KEY:
        # As a whole: it may not be left out.
        rule = f"mask: {{{KEY[0]}: hmac}}"
    fix = f"Below collections, {collection} in the mapping: {rule}, or, if it may cross: acknowledge: [{path}]"
    return Problem(f"{collection}: {each}", fix, Level.WARN)


def _unmet(collection: str, rules: Rules, seen: Sightings) -> list[Problem]:
    if not seen.counts:
        return []
    paths = unknown_paths([*rules.exclude, *(path for path, _ in rules.masks)], seen.counts)
    return [
        Problem(
            f"{collection}: no document of the sample has {'.'.join(path)}",
            "Look for a misspelled path; a rule of a field that comes later is right.",
            Level.WARN,
        )
        for path in paths
    ]
