"""The commands that the documentation shows, as a reader would type them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_SHOWS = re.compile(r"<!-- shows: (.+) -->")
_FENCE = re.compile(r"( *)```(\S*)")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page; ``shows`` are words that its commands have to print."""

    page: Path
    line: int
    language: str
    text: str
    shows: tuple[str, ...]

    @property
    def place(self) -> str:
        """Where it begins."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """Every fenced block in order; comments of the form ``<!-- shows: WORDS -->`` right above belong to it."""
    found: list[Block] = []
    shows: list[str] = []
    lines = enumerate(page.read_text(encoding="utf-8").splitlines(), start=1)
    for number, line in lines:
        if told := _SHOWS.fullmatch(line.strip()):
            shows.append(told[1])
        elif fence := _FENCE.match(line):
            end, indentation = f"{fence[1]}```", len(fence[1])
            inside = []
            for _, each in lines:
                if each == end:
                    break
                inside.append(each[indentation:])
            found.append(Block(page, number, fence[2], "\n".join(inside) + "\n", tuple(shows)))
            shows = []
        elif line.strip():
            shows = []
    return found


def commands(block: Block) -> list[str]:
    """The lines of a block that are commands: no comment, no output, no document that is typed in."""
    found: list[str] = []
    until = None
    is_console = block.language == "console"
    for line in block.text.replace("\\\n", " ").splitlines():
        if until is not None:
            until = None if line == until else until
            continue
        if is_console and not line.startswith("$ "):
            continue
        command = re.sub(r"(^|\s)#.*", "", line.removeprefix("$ ")).strip()
        if heredoc := re.search(r"<<-?'?(\w+)'?", command):
            until = heredoc[1]
        if command:
            found.append(command)
    return found
