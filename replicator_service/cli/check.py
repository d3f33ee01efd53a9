"""``replicator check``: the preflight as a table or as JSON."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from replicator_service.app.preflight import MAPPING, SETTINGS, preflight
from replicator_service.cli.addresses import From, MappingFile, To  # noqa: TC001 - read when the command is made
from replicator_service.cli.errors import address_mask
from replicator_service.cli.output import Json, console, print_json, printable_lines, wants_json
from replicator_service.configuration.configuration import read_configuration
from replicator_service.configuration.settings import unknown_variables
from replicator_service.core.findings import Finding, Level, exit_code
from replicator_service.core.words import counted
from replicator_service.sink.check.control_checks import TABLES as CONTROL_TABLES
from replicator_service.sink.check.table_requirements import CONFLICTS
from replicator_service.source.check.preflight import POSITION

if TYPE_CHECKING:
    from rich.console import Console

UNKNOWN = "unknown settings"

_FIRST_GROUP = "settings"
_GROUPS = {
    "mongodb reachable": "MongoDB",
    "postgresql address": "PostgreSQL",
    CONTROL_TABLES: "state of the stream",
    CONFLICTS: "replicated tables",
    POSITION: "position",
}
"""The checks with which a group begins."""

_SIGNS = {
    Level.OK: Text("✔", "green"),
    Level.WARN: Text("!", "yellow"),
    Level.FAIL: Text("✘", "bold red"),
    Level.SKIP: Text("·", "dim"),
}


def check_command(
    context: typer.Context,
    _from: From = None,
    _to: To = None,
    _mapping: MappingFile = None,
    *,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="A line for each check.")] = False,
    json: Json = False,  # noqa: ARG001 - read from the context
) -> None:
    """Check both servers, the credentials and the mapping, without changing anything."""
    found = read_configuration()
    if found.settings is None:
        # No server can be asked. What is known without one is told all the same.
        findings = [
            Finding(MAPPING if name == "mapping" else SETTINGS, Level.FAIL, each.message, each.hint, each.exit_code)
            for name, each in found.raw.problems.items()
        ]
    else:
        findings = preflight(found.settings, now=time.time())
    findings = [*_unknown_settings(), *findings]
    mask = address_mask(os.environ)
    findings = [replace(found, cause=mask(found.cause), fix=mask(found.fix)) for found in findings]
    code = exit_code(findings)
    if wants_json(context):
        print_json(report(findings))
    else:
        show(findings, is_verbose=verbose)
    raise typer.Exit(code)


def _unknown_settings() -> list[Finding]:
    """A slip in a variable's name leaves the default in place, without a word."""
    return [
        Finding(
            UNKNOWN, Level.WARN, f"{variable} is not a setting", f"Did you mean {meant}?" if meant else "Remove it."
        )
        for variable, meant in unknown_variables().items()
    ]


def report(findings: list[Finding]) -> dict[str, Any]:
    """The findings as JSON."""
    return {
        "ok": exit_code(findings) == 0,
        "exit_code": exit_code(findings),
        "checks": [
            {"name": found.name, "level": found.level.value, "cause": found.cause, "fix": found.fix or None}
            for found in findings
        ],
    }


def show(findings: list[Finding], *, is_verbose: bool = False) -> None:
    """The findings for people: a line a group, or a check; then each problem with its fix, the worst last."""
    out = console()
    groups = grouped(findings)
    width = max(len(found.name) for found in findings) if is_verbose else max(map(len, groups))
    for title, members in groups.items():
        if not is_verbose:
            out.print(Text.assemble(_SIGNS[_worst(members)], " ", title.ljust(width), "  ", _summary(members)))
            continue
        for found in members:
            style = "dim" if found.level is Level.SKIP else ""
            line = Table.grid(padding=(0, 1))
            line.add_row(_SIGNS[found.level], Text(found.name.ljust(width + 1), style), Text(found.cause, style))
            out.print(line)
    for level in (Level.WARN, Level.FAIL):
        for found in findings:
            if found.level is level:
                out.print()
                _show_problem(out, found)
    counts = {level: sum(found.level is level for found in findings) for level in Level}
    out.print(
        f"\n{counted(len(findings), 'check')}: {counts[Level.OK]} ok, {counted(counts[Level.WARN], 'warning')}, "
        f"{counts[Level.FAIL]} failed, {counts[Level.SKIP]} not made"
    )


def grouped(findings: list[Finding]) -> dict[str, list[Finding]]:
    """The findings by what they are about, in their order."""
    groups: dict[str, list[Finding]] = {}
    title = _FIRST_GROUP
    for found in findings:
        title = _GROUPS.get(found.name, title)
        groups.setdefault(title, []).append(found)
    return groups


def _show_problem(out: Console, found: Finding) -> None:
    """A problem in lines that break between words."""
    lines = Table.grid(padding=(0, 1))
    lines.add_row(_SIGNS[found.level], Text.assemble((found.name, "bold"), ": ", printable_lines(found.cause)))
    if found.fix:
        lines.add_row("", Text.assemble(("fix: ", "bold"), printable_lines(found.fix)))
    out.print(lines)


def _summary(members: list[Finding]) -> str:
    counts = {level: sum(found.level is level for found in members) for level in Level}
    told = [f"{counts[Level.OK]} ok"] if counts[Level.OK] else []
    told += [counted(counts[Level.WARN], "warning")] if counts[Level.WARN] else []
    told += [f"{counts[Level.FAIL]} failed"] if counts[Level.FAIL] else []
    if counts[Level.SKIP]:
        blocked = [found.name for found in members if found.level is Level.FAIL]
        why = f" because of: {', '.join(blocked)}" if blocked else " yet"
        told.append(f"{counts[Level.SKIP]} not made{why}")
    return ", ".join(told)


def _worst(members: list[Finding]) -> Level:
    levels = {found.level for found in members}
    return next(level for level in (Level.FAIL, Level.WARN, Level.OK, Level.SKIP) if level in levels)
