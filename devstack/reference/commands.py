"""The page of commands: every command line of the project, with what its own ``--help`` knows."""

from __future__ import annotations

import re
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

import typer

from devstack.cli import app as devstack
from devstack.reference.markdown import code, filled, table
from replicator_service.cli.application import application as replicator
from warehouse_jobs.cli import main as warehouse

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROGRAMS = {"replicator": replicator, "warehouse": warehouse, "devstack": devstack}
_KINDS = {int: "N", float: "NUMBER", str: "TEXT", Path: "PATH"}


def page() -> str:
    """The whole page."""
    parts: list[str] = []
    for name, program in _PROGRAMS.items():
        # The framework's classes are another library's in another release: only plain attributes are read.
        root: Any = typer.main.get_command(program)
        parts.append(f"## {name}\n\n{_told(root)}\n")
        parts += [f"### {path}\n\n{_command(path, command)}" for path, command in _commands(name, root)]
    return filled("cli", {"commands": "\n".join(parts)})


def _commands(path: str, group: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - see page()
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(f"{path} {name}", command)
        else:
            yield f"{path} {name}", command


def _command(path: str, command: Any) -> str:  # noqa: ANN401 - see page()
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if each.param_type_name == "option" and not each.hidden]
    usage = " ".join([path, *(["[OPTIONS]"] if options else []), *(_argument(each) for each in arguments)])
    rows = [(code(_argument(each)), _meaning(each)) for each in arguments]
    rows += [(code(_option(each)), _meaning(each)) for each in options if each.name != "help"]
    parts = [f"```text\n{usage}\n```\n", f"{_told(command)}\n"]
    if rows:
        parts.append(table(("option", "meaning"), rows))
    return "\n".join(parts)


def _argument(argument: Any) -> str:  # noqa: ANN401 - see page()
    if argument.metavar:
        return str(argument.metavar)
    name = argument.name.upper()
    return name if argument.required else f"[{name}]"


def _option(option: Any) -> str:  # noqa: ANN401 - see page()
    names = ", ".join(sorted(option.opts, key=len))
    return names if option.is_flag else f"{names} {option.metavar or _kind(option)}"


def _kind(option: Any) -> str:  # noqa: ANN401 - see page()
    """What kind of value an option takes; lists and optional values are of the kind of what is in them."""
    wanted: Any = option.type_descriptor.annotation
    while get_origin(wanted) in {list, Union, UnionType}:
        wanted = next(each for each in get_args(wanted) if each is not NoneType)
    return _KINDS.get(wanted, "TEXT")


def _meaning(parameter: Any) -> str:  # noqa: ANN401 - see page()
    default = parameter.default
    told = [parameter.help or ""]
    if isinstance(default, Enum):
        default = default.value
    if default not in (None, False, "") and not callable(default):
        told.append(f"Default: {code(default)}.")
    if parameter.envvar:
        told.append(f"Or {code(parameter.envvar)}.")
    return " ".join(told)


def _told(command: Any) -> str:  # noqa: ANN401 - see page()
    """The help of a command as one paragraph each."""
    paragraphs = re.split(r"\n\s*\n", (command.help or "").strip())
    return "\n\n".join(" ".join(each.split()) for each in paragraphs)
