"""What is wrong with a mapping file, and where: problems are collected, and reported all at once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from replicator_service.core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

_SHOWN_PROBLEMS = 100
_SHOWN_CHARACTERS = 60
_PLAIN_KEY = re.compile(r"[^\W\d][\w$-]*")

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A spot in the file: line and column count from 1, the path names the keys above it."""

    line: int
    column: int
    path: Path = ()


@dataclass(frozen=True, slots=True)
class MappingProblem:
    """One thing that is wrong, and what to write instead.

    ``path`` reads ``collections.UserSessions.columns.start_time.type``; it is empty where the file as a
    whole, or its YAML, is wrong.
    """

    line: int
    column: int
    path: str
    message: str
    fix: str

    def __str__(self) -> str:
        where = f"line {self.line}, column {self.column}"
        place = f"{where}: {self.path}" if self.path else where
        return f"{place}: {self.message}; {self.fix}"


class MappingError(ConfigurationError):
    """A mapping file cannot be used; ``problems`` holds all that is wrong, in the order of the file."""

    def __init__(self, name: str, problems: Iterable[MappingProblem]) -> None:
        self.name = name
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.line, problem.column)))
        count = len(self.problems)
        lines = [f"mapping {name}: {count} problem{'' if count == 1 else 's'}"]
        lines += [f"  {problem}" for problem in self.problems[:_SHOWN_PROBLEMS]]
        if count > _SHOWN_PROBLEMS:
            lines.append(f"  and {count - _SHOWN_PROBLEMS} more")
        super().__init__("\n".join(lines), hint="Correct the file; `replicator mapping check` reads it again.")


class Problems:
    """A growing list of problems, so that reading goes on after the first one."""

    def __init__(self) -> None:
        self._found: list[MappingProblem] = []

    def add(self, place: Place, message: str, fix: str) -> None:
        """Note a problem; the message says what is wrong, the fix what to do, both without a full stop."""
        self._found.append(MappingProblem(place.line, place.column, path_text(place.path), message, fix))

    def raise_if_any(self, name: str) -> None:
        """Raise a :class:`MappingError` when at least one problem has been noted."""
        if self._found:
            raise MappingError(name, self._found)


def path_text(path: Path) -> str:
    """Write a path for people: ``collections."my.logs".indexes[0]``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if _PLAIN_KEY.fullmatch(part) else quoted(part))
    return text


def quoted(text: str) -> str:
    """Quote a piece of the file for a message: printable, and never longer than a line."""
    shown = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
    printable = "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in shown
    )
    return f'"{printable}"'


def closest(word: str, known: Iterable[str]) -> str | None:
    """Find the known word that was probably meant, if any is near."""
    by_folded = {candidate.casefold(): candidate for candidate in known}
    # Comparing is quadratic in the length of the word, and no long word is a slip of a short one.
    matches = get_close_matches(word[:_SHOWN_CHARACTERS].casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[matches[0]] if matches else None
