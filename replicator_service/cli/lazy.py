"""Commands that are imported when they are run: a health check of a container pays for nothing but itself."""

from __future__ import annotations

import gc
import inspect
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand

from replicator_service.cli.errors import ErrorsShown


@dataclass(frozen=True, slots=True)
class Lazy:
    """Where a command, or a family of them, is defined, and the first line of its help.

    ``place`` is ``module:attribute``: a command's function, or the :class:`typer.Typer` of a family. ``epilog`` is the
    place of a function that gives what a command's help ends with.
    """

    place: str
    line: str
    epilog: str = ""

    def load(self, name: str) -> Any:  # noqa: ANN401 - the framework's classes are another library's in each release
        """Import it."""
        found = _imported(self.place)
        command: Any
        if isinstance(found, typer.Typer):
            command = typer.main.get_group(found)
        else:
            alone = typer.Typer(add_completion=False)
            alone.command(name, help=paragraphs(found), cls=_Ended)(found)
            command = typer.main.get_command(alone)
            command.ending = self.epilog
        command.name = name
        return command


class _Ended(TyperCommand):
    """A command whose help ends with what a function gives, which is imported when somebody reads it."""

    ending = ""

    def format_help(self, *arguments: Any) -> None:  # noqa: ANN401 - the framework's signature
        self.epilog = _imported(self.ending)() if self.ending else None
        super().format_help(*arguments)


def paragraphs(command: Callable[..., object]) -> str:
    """The help of a command from its docstring; only paragraphs end lines, so that it fits every terminal."""
    return "\n\n".join(" ".join(each.split()) for each in (inspect.getdoc(command) or "").split("\n\n"))


def _imported(place: str) -> Any:  # noqa: ANN401 - see Lazy.load
    """Import it with the cyclic collector off: modules stay, and looking through them takes a tenth of the time."""
    module, _, attribute = place.partition(":")
    was_on = gc.isenabled()
    gc.disable()
    try:
        return getattr(import_module(module), attribute)
    finally:
        if was_on:
            gc.enable()


class Commands(MutableMapping[str, Any]):
    """Commands by name, each imported when it is first looked at. Names alone import nothing."""

    def __init__(self, lazy: dict[str, Lazy]) -> None:
        self._lazy = lazy
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - see Lazy.load
        if name not in self._loaded:
            self._loaded[name] = self._lazy[name].load(name)
        return self._loaded[name]

    def __setitem__(self, name: str, command: Any) -> None:  # noqa: ANN401 - see Lazy.load
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self._lazy[name]
        self._loaded.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._lazy)

    def __len__(self) -> int:
        return len(self._lazy)

    def listed(self) -> dict[str, Any]:
        """What a list of the commands shows of each."""
        return {name: TyperCommand(name, help=each.line) for name, each in self._lazy.items()}


class LazyGroup(ErrorsShown):
    """A root command whose commands are those of ``lazy``."""

    lazy: dict[str, Lazy]

    def __init__(self, **attributes: Any) -> None:  # noqa: ANN401 - the framework's signature
        super().__init__(**attributes)
        self.commands = Commands(self.lazy)

    def format_help(self, *arguments: Any) -> None:  # noqa: ANN401 - the framework's signature
        """Show the commands by their first lines."""
        commands = self.commands
        self.commands = Commands(self.lazy).listed()
        try:
            super().format_help(*arguments)
        finally:
            self.commands = commands
