"""Rows of one table as COPY text: blocks of whole lines, made by many at once and handed on as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


_PIECE = 2**18


class Lines:  # noqa: PLW1641 - it grows, so it has no hash
    """Lines of PostgreSQL's COPY text format, each with its newline.

    A newline inside a value is written as an escape, so every newline ends a line.
    """

    __slots__ = ("blocks", "count", "size")

    def __init__(self) -> None:
        self.blocks: list[bytes] = []
        """In order; none is empty."""
        self.count = 0
        """How many lines there are."""
        self.size = 0
        """How many bytes."""

    def add(self, block: bytes, count: int) -> None:
        """Append a block of so many lines."""
        self.blocks.append(block)
        self.count += count
        self.size += len(block)

    def add_lines(self, lines: Sequence[str]) -> None:
        """Append lines that have no newlines yet."""
        if lines:
            self.add(("\n".join(lines) + "\n").encode(), len(lines))

    def pieces(self) -> Iterator[bytes]:
        """All lines in pieces that are worth a call of the driver each: small blocks are joined."""
        waiting: list[bytes] = []
        size = 0
        for block in self.blocks:
            waiting.append(block)
            size += len(block)
            if size >= _PIECE:
                yield b"".join(waiting)
                waiting, size = [], 0
        if waiting:
            yield b"".join(waiting)

    def text(self) -> bytes:
        """All lines."""
        return self.blocks[0] if len(self.blocks) == 1 else b"".join(self.blocks)

    def each(self) -> list[str]:
        """The lines one by one, without their newlines."""
        return self.text().decode().split("\n")[:-1]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Lines) and (self.count, self.text()) == (other.count, other.text())

    def __repr__(self) -> str:
        return f"Lines({self.count})"
