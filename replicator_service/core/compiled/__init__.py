"""The compiled path of the hot loop: documents into lines and events into changes straight from a reply's bytes.

Pure Python (:mod:`replicator_service.core.transform`, :mod:`replicator_service.core.codec`) is the reference. What is
compiled gives the same bytes or nothing: of what it does not surely know it says so, and Python does the document.
It is used where it was compiled from exactly the sources that are installed, Python's included, since it repeats them.

``REPLICATOR_COMPILED``: ``auto`` (the default) uses it where it is there, ``off`` leaves everything to Python, ``on``
refuses to run without it. This is read here, once a process, since every command that transforms documents must agree.
"""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from replicator_service.core.compiled.sources import why_not
from replicator_service.core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from replicator_service.core.lines import Lines
    from replicator_service.core.masking.tree import Node
    from replicator_service.core.transform.leftovers import Leftovers
    from replicator_service.core.transform.program import CollectionProgram

VARIABLE = "REPLICATOR_COMPILED"
MODULES = ("scan", "rows", "masks")


class Scan(Protocol):
    """Where the documents of a reply are, or the events with the documents that they bring."""

    @property
    def count(self) -> int:
        """How many there are; -1 when the bytes are no array of documents."""
        ...

    def part(self, ordinal: int) -> bytes:
        """The BSON of one element of the array."""
        ...

    def document(self, ordinal: int) -> bytes | None:
        """The BSON of one document, None where an event brings none or is odd."""
        ...

    def keys(self) -> list[str | None]:
        """The key of each document, None where Python has to say it."""
        ...

    def events(
        self, reply: object, change: type, operations: Sequence[object], id_of: type, exact_of: type
    ) -> list[Any]:
        """Each event as a :class:`ScannedEvent`, None where Python has to decode it."""
        ...


class Scanning(Protocol):
    """What makes a :class:`Scan`."""

    def __call__(self, array: bytes, *, of_events: bool) -> Scan:
        """Look through a BSON array of documents or of events."""
        ...


class Program(Protocol):
    """The compiled form of a collection's mapping."""

    def write_changes(
        self,
        changes: list[Any],
        start: int,
        scan: Scan,
        valid_from: str,
        keys: list[str],
        lines: Sequence[Lines],
        ends: list[list[int]],
        leftovers: Leftovers,
    ) -> int:
        """Append the rows of changes from ``start`` on that share source, operation and second: some of them.

        Gives how many documents were written: 0 when the first one is not known.
        """
        ...

    def write_ordinals(
        self,
        ordinals: Sequence[int],
        start: int,
        scan: Scan,
        valid_from: str,
        keys: list[str],
        lines: Sequence[Lines],
        ends: list[list[int]],
        leftovers: Leftovers,
    ) -> int:
        """The same for these documents of a reply."""
        ...


class Programming(Protocol):
    """What makes a :class:`Program`."""

    def __call__(self, program: CollectionProgram, *, is_printed: bool = False) -> Program:
        """Compile a mapping; ``is_printed``: lines as PostgreSQL prints them, without ``etl_valid_from``."""
        ...


class Masks(Protocol):
    """The compiled form of a collection's rules of privacy."""

    def documents(self, array: bytes) -> bytes | None:
        """A BSON array of documents, masked; None when it is not surely one."""
        ...


@dataclass(frozen=True, slots=True)
class Native:
    """What is compiled."""

    scan: Scanning
    program: Programming
    masks: Callable[[Node, Callable[..., bytes], Callable[[bytes], bytes] | None], Masks]
    """Compiles rules; with the reference for what it leaves to it, and what hides a document key, where that is."""
    events: Callable[[bytes, Callable[[bytes], Masks | bool], Callable[[bytes], bytes | None]], bytes | None]
    """Masks an array of events, see there."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which path runs, and why."""

    native: Native | None
    reason: str


def native() -> Native | None:
    """What is compiled, or None when Python does everything."""
    return chosen().native


def path_told() -> str:
    """Say which path runs, and why."""
    found = chosen()
    return f"{'Python' if found.native is None else 'compiled'}: {found.reason}"


@lru_cache(maxsize=1)
def chosen() -> Chosen:
    """Choose the path, once a process. Raises :class:`ConfigurationError` for a setting that does not exist."""
    file = os.environ.get(f"{VARIABLE}_FILE")
    return choose(os.environ.get(VARIABLE) or (Path(file).read_text(encoding="utf-8").strip() if file else "auto"))


def choose(setting: str) -> Chosen:
    """Choose the path for ``auto``, ``on`` or ``off``."""
    if setting not in {"auto", "on", "off"}:
        raise ConfigurationError(f"{VARIABLE} is not auto, on or off", hint=f"Set {VARIABLE} to auto, on or off.")
    if setting == "off":
        return Chosen(None, f"off by {VARIABLE}")
    found = _found()
    if setting == "on" and found.native is None:
        raise ConfigurationError(
            f"{VARIABLE} is on, and there is no compiled path: {found.reason}",
            hint="Compile it with a C compiler and Cython: python -m replicator_service.core.compiled.build; "
            f"or set {VARIABLE} to auto.",
        )
    return found


def _found() -> Chosen:
    """What is there, if it is whole and of these sources."""
    reason = why_not(MODULES)
    if reason is not None:
        return Chosen(None, reason)
    try:
        scan, rows, masks = (importlib.import_module(f"{__name__}.{name}") for name in MODULES)
    except ImportError as error:
        # Made on another machine: a library that it needs is not here.
        return Chosen(None, f"what is compiled does not load ({type(error).__name__})")
    return Chosen(Native(scan.Scan, rows.Program, masks.Masks, masks.events), "made from these sources")
