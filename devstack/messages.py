"""Every message that people get, looked up in the source: a new one is in the catalogue as soon as it is written.

Errors, findings of ``check``, notices and flaws of settings are calls with a cause and a fix (:data:`MAKERS`). This
module only finds them; what is required of them is in ``tests/unit/test_messages.py``, and the page that lists them is
made by ``devstack/reference/messages.py``.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).resolve().parents[1]
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
    # The jobs of the warehouse.
    "MartError",
    "SettingsError",
    "DefinitionError",
    "AsOfRefusedError",
    "UndoRefusedError",
    "ChecksFailedError",
    "LoginRefusedError",
    "ServerError",
    "SourceNotReadyError",
    "ParametersError",
    "SourceError",
    "RefusedError",
    "FormError",
    "NotProvedError",
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
    """Where a message is made, and the expressions of its parts; ``names`` are the module's own constants."""

    path: str
    line: int
    maker: str
    cause: ast.expr | None
    fix: ast.expr | None
    names: Mapping[str, ast.expr] = field(repr=False)

    @property
    def place(self) -> str:
        """The file and the line."""
        return f"{self.path}:{self.line}"

    def text_of(self, part: ast.expr | None) -> str | None:
        """The words of a part, with ``…`` for what is filled in; None where they come from somewhere else."""
        match part:
            case ast.Constant(value=str(text)):
                return text
            case ast.JoinedStr(values=values):
                return "".join(self.text_of(value) or "…" for value in values)
            case ast.FormattedValue(value=ast.Name(id=name)) if name in self.names:
                return self.text_of(self.names[name])
            case ast.Name(id=name) if name in self.names:
                return self.text_of(self.names[name])
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                texts = self.text_of(left), self.text_of(right)
                return None if texts == (None, None) else "".join(text or "…" for text in texts)
            case ast.IfExp(body=body, orelse=orelse):
                texts = self.text_of(body), self.text_of(orelse)
                return " Or: ".join(text for text in texts if text) or None
            case _:
                return None


@lru_cache(maxsize=1)
def messages() -> tuple[Message, ...]:
    """Return all of them, by file and line."""
    return tuple(message for path in SOURCES for message in _messages_in(path))


def _messages_in(path: Path) -> Iterator[Message]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if name not in MAKERS or (name in {"fail", "warn"} and not _is_of_checklist(node)):
            continue
        cause_at, cause_name, fix_at, fix_name = MAKERS[name]
        named = {each.arg: each.value for each in node.keywords}
        cause, fix = _argument(node, cause_at, named, cause_name), _argument(node, fix_at, named, fix_name)
        yield Message(path.relative_to(ROOT).as_posix(), node.lineno, name, cause, fix, names)


def _is_of_checklist(node: ast.Call) -> bool:
    return isinstance(node.func, ast.Attribute) and getattr(node.func.value, "id", "") == "checks"


def _argument(node: ast.Call, at: int, named: Mapping[str | None, ast.expr], name: str) -> ast.expr | None:
    return named.get(name, node.args[at] if at < len(node.args) else None)
