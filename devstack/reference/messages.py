"""The page of messages: each with what to do, and who acts, as the catalogue finds them in the source."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from devstack.messages import messages
from devstack.reference.markdown import code, filled, table
from replicator_service.core import errors
from replicator_service.sink import sqlstates

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from devstack.messages import Message

_SECTIONS = {
    "Settings, addresses and commands": (
        *("replicator_service/configuration/", "replicator_service/cli/", "replicator_service/runtime/http/"),
        *("replicator_service/core/addresses", "replicator_service/core/compiled/"),
    ),
    "MongoDB": (
        *("replicator_service/source/", "replicator_service/core/history", "replicator_service/core/abilities"),
        "replicator_service/pipeline/marks",
    ),
    "PostgreSQL": ("replicator_service/sink/",),
    "The mapping, masks and documents": (
        *("replicator_service/app/", "replicator_service/core/masking/", "replicator_service/core/transform/"),
        *("replicator_service/core/dead_letter_limit", "replicator_service/core/mapping/"),
    ),
    "Reconciliation and repair": ("replicator_service/reconcile/",),
    "Notices of the page, `status` and the webhook": ("replicator_service/runtime/",),
    "Marts, generator and Airflow": ("airflow/warehouse_jobs/",),
    "The demo and the servers of the tests": ("devstack/",),
}
"""The parts of the page, and the beginnings of paths that belong to each; the first that fits counts."""
_PASSED_ON = ("replicator_service/core/findings", "replicator_service/pipeline/writer")
"""These hand on what others have said."""

_OTHERS = {
    "fail": "`check` fails",
    "warn": "`check` warns",
    "Problem": "`check`",
    "Notice": "a notice",
    "Flaw": "ends, exit code 2",
}
_ACTS = {
    sqlstates.Acts.RETRY: "waits and tries again",
    sqlstates.Acts.ROW: "a dead letter",
    sqlstates.Acts.PERSON: "ends",
    sqlstates.Acts.TABLE: "makes the table again",
}


def page() -> str:
    """The whole page."""
    return filled("messages", {"messages": _messages(), "sqlstates": _sqlstates()})


def _messages() -> str:
    found: dict[str, dict[tuple[str, str], set[str]]] = defaultdict(lambda: defaultdict(set))
    for message in messages():
        cause = message.text_of(message.cause)
        if message.path.startswith(_PASSED_ON) or cause is None or not re.search(r"\w", cause):
            continue
        fix = message.text_of(message.fix) or "What the line itself says: it depends on the case."
        found[_section(message)][_plain(cause), _plain(fix)].add(_what_it_does(message.maker))
    return "\n".join(f"### {title}\n\n{_section_table(found[title])}" for title in _SECTIONS)


def _section_table(found: Mapping[tuple[str, str], set[str]]) -> str:
    rows = [(message, fix, "; ".join(sorted(what))) for (message, fix), what in found.items()]
    return table(("message", "what to do", "what happens"), sorted(rows, key=_first_word))


def _section(message: Message) -> str:
    for title, beginnings in _SECTIONS.items():
        if message.path.startswith(beginnings):
            return title
    raise LookupError(f"{message.path} has messages: give it a section in devstack/reference/messages.py")


def _first_word(row: Sequence[str]) -> tuple[str, ...]:
    return re.sub(r"^\W*", "", row[0]).casefold(), *row


def _what_it_does(maker: str) -> str:
    if maker in _OTHERS:
        return _OTHERS[maker]
    kind = getattr(errors, maker, None)
    if kind is None:
        return "the command or task fails"
    if issubclass(kind, errors.RecordRejected):
        return "a dead letter"
    if issubclass(kind, errors.ResyncRequired):
        return "everything is read again, or it waits for you (`REPLICATOR_ON_HISTORY_LOST=stop`)"
    if issubclass(kind, errors.Retryable | errors.SnapshotUnavailable):
        return "waits and tries again"
    return f"ends, exit code {kind.exit_code}"


def _sqlstates() -> str:
    codes: dict[sqlstates.Meaning, list[str]] = defaultdict(list)
    for state, meaning in sqlstates.MEANINGS.items():
        codes[meaning].append(state)
    rows = [
        (", ".join(map(code, states)), _plain(meaning.cause), _plain(meaning.hint), _ACTS[meaning.acts])
        for meaning, states in codes.items()
    ]
    return table(("SQLSTATE", "message", "what to do", "what happens"), rows)


def _plain(text: str) -> str:
    """Text that Markdown leaves as it is."""
    return re.sub(r"([\\*<\[]|(?<!\w)_|_(?!\w))", r"\\\1", text)
