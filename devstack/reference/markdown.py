"""Markdown as the pages need it: templates, tables and code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_GENERATED = "This page is generated from the code by `make docs`."
_PLACE = re.compile(r"\{\{(\w+)\}\}")


def filled(template: str, values: Mapping[str, str]) -> str:
    """A page: the template of that name with every ``{{place}}`` filled. Raises KeyError for a place without value."""
    text = Path(__file__).with_name(f"{template}.md.in").read_text(encoding="utf-8")
    known = {"generated": _GENERATED, **values}
    return _PLACE.sub(lambda place: known[place[1]].rstrip("\n"), text)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells are Markdown already, but for vertical bars and ends of lines."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(_cell(cell) for cell in line)} |\n" for line in lines)


def code(text: object) -> str:
    """Text as code."""
    return f"`{text}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
