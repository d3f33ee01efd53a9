"""Every message that people get: it has a cause and a fix, the fix can be done, and none destroys without a word.

All errors, findings of `check`, notices and meanings of SQLSTATEs are looked up in the source, so that a new one is in
the catalogue as soon as it is written.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from replicator_service.cli.application import application
from replicator_service.sink import sqlstates
from tests.support.monitoring import ROOT, alerts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SOURCES = sorted(
    path
    for folder in ("replicator_service", "airflow/warehouse_jobs", "devstack")
    for path in (ROOT / folder).rglob("*.py")
)

ERRORS = {
    "SourceUnavailable",
    "SinkUnavailable",
    "DiskFull",
    "NoAnswer",
    "RecordRejected",
    "ResyncRequired",
    "Fatal",
    "ConfigurationError",
    "SnapshotUnavailable",
    "TableChanged",
    "Retryable",
    "DevstackError",
}
"""Those that reach a person. A lost lease and a request to stop are between parts of the service."""

MAKERS = {
    # What makes a message, and the position of its cause and of its fix (by position or by name).
    **dict.fromkeys(ERRORS, (0, "message", 99, "hint")),
    "Problem": (0, "cause", 1, "fix"),
    "Notice": (2, "message", 3, "hint"),
    "Flaw": (0, "cause", 1, "fix"),
    "fail": (1, "cause", 2, "fix"),
    "warn": (1, "cause", 2, "fix"),
}


@dataclass(frozen=True, slots=True)
class Message:
    """Where a message is made, and the text of its parts as far as it stands there."""

    place: str
    maker: str
    cause: ast.expr | None
    fix: ast.expr | None


@lru_cache(maxsize=1)
def messages() -> tuple[Message, ...]:
    return tuple(message for path in SOURCES for message in messages_in(path))


def messages_in(path: Path) -> Iterator[Message]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if name not in MAKERS or (name in {"fail", "warn"} and not is_of_checklist(node)):
            continue
        cause_at, cause_name, fix_at, fix_name = MAKERS[name]
        named = {each.arg: each.value for each in node.keywords}
        place = f"{path.relative_to(ROOT)}:{node.lineno}"
        yield Message(place, name, argument(node, cause_at, named, cause_name), argument(node, fix_at, named, fix_name))


def is_of_checklist(node: ast.Call) -> bool:
    return isinstance(node.func, ast.Attribute) and getattr(node.func.value, "id", "") == "checks"


def argument(node: ast.Call, at: int, named: dict[str | None, ast.expr], name: str) -> ast.expr | None:
    return named.get(name, node.args[at] if at < len(node.args) else None)


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
