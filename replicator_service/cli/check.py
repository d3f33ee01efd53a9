"""``replicator check``: the preflight as a table or as JSON."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import Any

import typer
from rich.text import Text

from replicator_service.app.preflight import SETTINGS, preflight
from replicator_service.cli.addresses import From, MappingFile, To  # noqa: TC001 - read when the command is made
from replicator_service.cli.errors import address_mask
from replicator_service.cli.output import Json, console, print_json, wants_json
from replicator_service.configuration.settings import load_settings, unknown_variables
from replicator_service.core.errors import ConfigurationError
from replicator_service.core.findings import Finding, Level, exit_code

UNKNOWN = "unknown settings"

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
    json: Json = False,  # noqa: ARG001 - read from the context
) -> None:
    """Check both servers, the credentials and the mapping, without changing anything."""
    try:
        settings = load_settings()
    except ConfigurationError as error:
        findings = [Finding(SETTINGS, Level.FAIL, error.message, error.hint, error.exit_code)]
    else:
        findings = [*_unknown_settings(), *preflight(settings, now=time.time())]
    mask = address_mask(os.environ)
    findings = [replace(found, cause=mask(found.cause), fix=mask(found.fix)) for found in findings]
    code = exit_code(findings)
    if wants_json(context):
        print_json(report(findings))
    else:
        show(findings)
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


def show(findings: list[Finding]) -> None:
    """The findings for people: one line each, and what to do under those that need it."""
    out = console()
    width = max(len(found.name) for found in findings)
    for found in findings:
        style = "dim" if found.level is Level.SKIP else ""
        line = Text.assemble(_SIGNS[found.level], " ", (found.name.ljust(width), style), "  ", (found.cause, style))
        out.print(line, soft_wrap=True)
        if found.fix and found.level in (Level.WARN, Level.FAIL):
            out.print(Text.assemble(" " * (width + 4), ("fix: ", "bold"), found.fix), soft_wrap=True)
    counts = {level: sum(found.level is level for found in findings) for level in Level}
    out.print(
        f"\n{len(findings)} checks: {counts[Level.OK]} ok, {counts[Level.WARN]} warnings, "
        f"{counts[Level.FAIL]} failed, {counts[Level.SKIP]} not made"
    )
