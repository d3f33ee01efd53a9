"""The proposed mapping as a file: a header that says where it comes from, then one block a collection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from replicator_service.core.mapping.inference.yaml_text import column_text, commented, path_text, scalar
from replicator_service.core.mapping.problems import path_text as shown_path
from replicator_service.core.mapping.problems import quoted
from replicator_service.core.masking.personal import MASKS
from replicator_service.core.masking.rules import KEY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from replicator_service.core.mapping.inference.proposal import (
        LeftOver,
        Proposal,
        ProposedCollection,
        ProposedTable,
        Skipped,
    )
    from replicator_service.core.masking.personal import Suspicion

_SHOWN_LEFT_OVER = 50
_HEADER = """\
# yaml-language-server: $schema=mapping.schema.json
#
# The MongoDB database {database} as typed tables: {collections}, {documents} read by
#
#     {command}
#
# The comments tell what was seen: the kinds of values, and in how many rows there is none. All that was seen fits.
# It is a sample, though: look it over before the first use. Changing a type later takes a resync.
#
#   names    Rename tables and columns as you like; `path` says which field a column takes.
#   types    What does not fit its column goes to _extra and is counted: nothing is lost. jsonb holds anything; where
#            you want one kind of value only, take its type.
#   fields   Delete the columns that nobody needs: the values stay in _extra.
#   arrays   Rows of a child table have _id and _ordinal. {{from: parent, type: text}} repeats a field of the document.
#   indexes  Add the few that your queries use, for instance `indexes: [user_id]` below `columns`.
#
# docs/reference/mapping.md explains the rest. `replicator mapping check` tells whether the file can be read. Editors
# that know the first line help, once `replicator mapping schema > mapping.schema.json` was run beside this file."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a proposal comes from: the command that a person would give again, and the database."""

    command: str
    database: str


def render_file(proposal: Proposal, origin: Origin, personal: Mapping[str, Sequence[Suspicion]] | None = None) -> str:
    """Write the file. Reading it gives the proposed collections, exactly; what looks ``personal`` is a comment."""
    lines = [
        *_collections(proposal, personal or {}),
        *_others(proposal),
        *_personal_elsewhere(proposal, personal or {}),
    ]
    return "\n".join([_header(proposal, origin), "version: 1", "", *lines, ""])


def _header(proposal: Proposal, origin: Origin) -> str:
    return _HEADER.format(
        database=quoted(origin.database),
        collections=_counted(len(proposal.collections), "collection"),
        documents=_counted(proposal.documents, "document"),
        command=_comment_text(origin.command),
    )


def _collections(proposal: Proposal, personal: Mapping[str, Sequence[Suspicion]]) -> Iterator[str]:
    if not proposal.collections:
        yield "collections: {}"
        return
    yield "collections:"
    for position, proposed in enumerate(proposal.collections):
        if position:
            yield ""
        yield from _collection(proposed)
        yield from _personal(personal.get(proposed.collection, ()), "    # ")


def _collection(proposed: ProposedCollection) -> Iterator[str]:
    sampled, documents = proposed.table.rows, proposed.documents
    about = "all read" if sampled >= documents else f"of about {documents:,}"
    yield f"  # {_counted(sampled, 'document')}, {about}."
    yield f"  {scalar(proposed.collection)}:"
    yield from _table(proposed.table, "    ")
    if proposed.children:
        yield "    children:"
        for child in proposed.children:
            yield f"      # {_counted(child.rows, 'element')}."
            yield f"      {scalar(child.key)}:"
            yield from _table(child, "        ")


def _table(table: ProposedTable, indent: str) -> Iterator[str]:
    yield f"{indent}table: {scalar(table.name)}"
    if table.path and tuple(table.key.split(".")) != table.path:
        yield f"{indent}path: {path_text(table.path)}"
    if table.columns:
        yield f"{indent}columns:"
        yield from commented((f"{indent}  {column_text(each.column)}", each.note) for each in table.columns)
    yield from _left_over(table.left, indent + "  ")


def _left_over(left: Sequence[LeftOver], indent: str) -> Iterator[str]:
    if not left:
        return
    yield f"{indent}# Left in _extra:"
    shown = [(shown_path(each.path), each.reason) for each in left[:_SHOWN_LEFT_OVER]]
    width = max(len(path) for path, _ in shown)
    for path, reason in shown:
        yield f"{indent}#   {path.ljust(width)}  {reason}"
    if len(left) > len(shown):
        yield f"{indent}#   and {len(left) - len(shown):,} more"


def _personal(found: Sequence[Suspicion], indent: str) -> Iterator[str]:
    """Masks for what looks personal, to be taken into use by a person: line by line."""
    if not found:
        return
    yield f"{indent}Looks personal. Take out what may cross (see docs/how-to/privacy.md):"
    yield f"{indent}mask:"
    lines: dict[str, str] = {}
    for each in found:
        # What is in an _id is masked with it, and as one value.
        is_key = each.path[:1] == KEY
        path = KEY[0] if is_key else scalar(".".join(each.path))
        lines.setdefault(path, f"{'hmac' if is_key else MASKS[each.what]}  # {_reason(each)}")
    shown = list(lines.items())[:_SHOWN_LEFT_OVER]
    yield from (f"{indent}  {_comment_text(path)}: {mask}" for path, mask in shown)
    if len(shown) < len(lines):
        yield f"{indent}  and {len(lines) - len(shown):,} more"


def _reason(each: Suspicion) -> str:
    return f"{each.what.value}{'' if each.is_by_value else ', by its name'}"


def _personal_elsewhere(proposal: Proposal, personal: Mapping[str, Sequence[Suspicion]]) -> Iterator[str]:
    named = {each.collection for each in proposal.collections}
    for name, found in personal.items():
        if name not in named and found:
            yield ""
            yield f"#   {_comment_text(scalar(name))}:"
            yield from _personal(found, "#     ")


def _others(proposal: Proposal) -> Iterator[str]:
    yield from _skipped("Not named here, so they become document tables:", proposal.document_tables)
    yield from _skipped("Not replicated, since MongoDB has no change events for them:", proposal.not_replicable)


def _skipped(title: str, skipped: Sequence[Skipped]) -> Iterator[str]:
    if not skipped:
        return
    yield ""
    yield f"# {title}"
    names = [_comment_text(each.collection) for each in skipped]
    width = max(map(len, names))
    for name, each in zip(names, skipped, strict=True):
        yield f"#   {name.ljust(width)}  {each.reason}"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _comment_text(text: str) -> str:
    """Write a text in a comment: nothing in it may end the line."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)
