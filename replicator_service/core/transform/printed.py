"""Documents as PostgreSQL prints their rows (``COPY TO``, text): what is stored can be compared with it byte by byte.

It is a second way from a document to its rows, and shares nothing with the way back: a value that PostgreSQL has not
taken as it was meant is printed otherwise. Only the compiled path knows it, and only of values whose printed form is
certain; every other document is left to PostgreSQL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.core.compiled import native
from replicator_service.core.lines import Lines
from replicator_service.core.mapping.model import tables_of
from replicator_service.core.transform.leftovers import Leftovers
from replicator_service.core.transform.program import program_of

if TYPE_CHECKING:
    from replicator_service.core.compiled import Program, Scan
    from replicator_service.core.mapping.model import CollectionMapping


class Printing:
    """One collection's rows as they are printed."""

    def __init__(self, mapping: CollectionMapping, program: Program) -> None:
        self._program = program
        self._tables = len(tables_of(mapping))
        self._leftovers = Leftovers(mapping.collection)

    def lines_of(self, scan: Scan) -> tuple[list[str], tuple[Lines, ...], list[int]]:
        """Return keys and lines by table of all documents of a reply but some, and the ordinals of those."""
        keys: list[str] = []
        lines = [Lines() for _ in range(self._tables)]
        ends: list[list[int]] = [[] for _ in lines[1:]]
        left: list[int] = []
        position, ordinals = 0, range(scan.count)
        while position < scan.count:
            written = self._program.write_ordinals(ordinals, position, scan, "", keys, lines, ends, self._leftovers)
            if not written:
                left.append(position)
            position += written or 1
        return keys, tuple(lines), left


def printing_of(mapping: CollectionMapping) -> Printing | None:
    """Compile a mapping, or None where there is no compiled path."""
    compiled = native()
    return None if compiled is None else Printing(mapping, compiled.program(program_of(mapping), is_printed=True))
