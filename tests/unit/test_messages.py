"""Every message that people get: it has a cause and a fix, the fix can be done, and none destroys without a word.

They are looked up in the source, see :mod:`devstack.messages`.
"""

from __future__ import annotations

import ast
import re
from functools import lru_cache
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from devstack.messages import SOURCES, messages
from replicator_service.cli.application import application
from replicator_service.sink import sqlstates
from tests.support.monitoring import ROOT, alerts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def is_empty(expression: ast.expr | None) -> bool:
    return expression is None or (isinstance(expression, ast.Constant) and not expression.value)


def texts(path: Path) -> Iterator[tuple[str, str]]:
    """Every text of a module that is no docstring, and where it stands; pieces of one text are together."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documentation = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    # How sessions with a server are called is no message.
    documentation |= {
        id(node.value)
        for node in ast.walk(tree)
        if (isinstance(node, ast.keyword) and node.arg in {"app_name", "application_name"})
        or (isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "APPLICATION")
    }
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        place = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.JoinedStr):
            yield place, "".join(str(part.value) if isinstance(part, ast.Constant) else "NAME" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation | inside:
            yield place, node.value


@lru_cache(maxsize=1)
def all_texts() -> tuple[tuple[str, str], ...]:
    return tuple(found for path in SOURCES for found in texts(path))


def test_every_message_has_a_cause_and_a_fix() -> None:
    assert len(messages()) > 200
    lacking = [f"{each.place} ({each.maker})" for each in messages() if is_empty(each.cause) or is_empty(each.fix)]
    assert lacking == []


@pytest.mark.parametrize("code", sorted(sqlstates.MEANINGS))
def test_every_sqlstate_has_a_cause_and_a_fix(code: str) -> None:
    meaning = sqlstates.MEANINGS[code]
    assert meaning.cause
    assert meaning.hint
    assert set(re.findall(r"\{(\w*)\}", meaning.hint)) <= {"table", "role", "database"}


_COMMAND = re.compile(r"(?:^|['`]|: )replicator ((?:[a-z]+(?:-[a-z]+)*)(?: [a-z]+(?:-[a-z]+)*)?)((?: --[a-z-]+)*)")
_GROUPS = {"dead-letters", "mapping", "config", "snapshot"}
# What is locked is called so in the database.
_NO_COMMANDS = {"renews", "indexes", "reconciliation", "requests", "pooler", "writer", "monitor", "listener"}


def commands() -> set[tuple[str, tuple[str, ...]]]:
    """The commands that texts name, each with its options."""
    found = set()
    for _, text in all_texts():
        for match in _COMMAND.finditer(text):
            first, _, second = match[1].partition(" ")
            words = f"{first} {second}" if first in _GROUPS and second else first
            if first not in _NO_COMMANDS:
                options = match[2].split() if words == match[1] else []
                found.add((words, tuple(options)))
    return found


def test_every_command_that_a_text_names_exists_with_its_options() -> None:
    found = commands()
    assert {words for words, _ in found} >= {"resync", "reconcile", "dead-letters list", "mapping drift", "resume"}
    for words, options in sorted(found):
        shown = CliRunner().invoke(application, [*words.split(), "--help"], env={"COLUMNS": "200"})
        assert shown.exit_code == 0, f"there is no replicator {words}"
        assert set(options) <= set(shown.output.replace(",", " ").split()), f"replicator {words} {options}"


def test_every_setting_that_a_text_names_exists() -> None:
    known = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    named = {
        name
        for _, text in all_texts()
        for name in re.findall(r"\b(?:REPLICATOR|WAREHOUSE|MART)_[A-Z]+(?:_[A-Z]+)*\b", text)
    }
    unknown = {name for name in named if name.removesuffix("_FILE") not in known}
    assert unknown <= {"REPLICATOR_SOURCES", "REPLICATOR_PAGE_URL"}, "these are no settings of anybody"


DESTRUCTIVE = re.compile(
    r"\b(drop (schema|table|database|slot|column)|truncate|delete from|dead-letters drop|pg_terminate_backend"
    r"|--allow-deletes|rm -r)",
    re.IGNORECASE,
)
SAYS_SO = re.compile(
    r"with its values|lost|for good|gone|gives? .* up|given up|ends? |yours|no longer|deletes?\b"
    r"|empt(y|ies)|stays without",
    re.IGNORECASE,
)


def test_no_fix_destroys_anything_without_saying_so() -> None:
    fixes: list[tuple[str, str]] = []
    for message in messages():
        if message.fix is not None:
            fixes += [
                (
                    message.place,
                    "".join(str(part.value) for part in ast.walk(message.fix) if isinstance(part, ast.Constant)),
                )
            ]
    fixes += [(code, meaning.hint) for code, meaning in sqlstates.MEANINGS.items()]
    fixes += [(name, str(rule["annotations"])) for name, rule in alerts().items()]
    silent = [(place, text) for place, text in fixes if DESTRUCTIVE.search(text) and not SAYS_SO.search(text)]
    assert silent == []
