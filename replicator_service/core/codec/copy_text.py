"""PostgreSQL's COPY text format: a row is a line, and cells are separated by tabs.

Cells are made with marks in them where something cannot be stored (see :mod:`extjson`); a line is repaired once
it is whole, since the marks are searched for faster in a line than in each of its cells.
"""

from __future__ import annotations

from replicator_service.core.bson.marks import REWRITTEN, unmarked

NULL = "\\N"
SPECIAL = "\\\t\n\r"
"""What :func:`escape` escapes."""


def escape(text: str) -> str:
    """Escape what COPY would read as a separator or an escape."""
    if "\\" in text:
        text = text.replace("\\", "\\\\")
    if "\t" in text:
        text = text.replace("\t", "\\t")
    if "\n" in text:
        text = text.replace("\n", "\\n")
    if "\r" in text:
        text = text.replace("\r", "\\r")
    return text


def bytea_cell(value: bytes) -> str:
    """Return a ``bytea`` in its hexadecimal form, escaped."""
    return f"\\\\x{value.hex()}"


def altered_cells(line: str) -> int:
    """Count the cells in which something is going to be replaced."""
    return sum("\0" in cell or REWRITTEN in cell for cell in line.split("\t"))


def keep_original(line: str, bson: bytes) -> str:
    """Replace what cannot be stored, and keep the original in ``_bson``, the last column but one."""
    head, _, valid_from = line.rsplit("\t", 2)
    return f"{unmarked(head)}\t{bytea_cell(bson)}\t{valid_from}"
