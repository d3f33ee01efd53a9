"""How errors look: one message with its cause and what to do, never a stack trace, never a secret."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from replicator_service.cli.output import console, print_json, printable_lines, wants_json
from replicator_service.configuration.environment import PREFIX
from replicator_service.core.errors import ConfigurationError, Fatal, ReplicatorError
from replicator_service.runtime.log.masking import Mask
from replicator_service.runtime.log.traces import trace_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_ADDRESSES = (f"{PREFIX}MONGO_URI", f"{PREFIX}POSTGRES_DSN", "WAREHOUSE_MONGO_URI", "WAREHOUSE_POSTGRES_DSN")


class ErrorsShown(TyperGroup):
    """The root command: turns errors of every command into a message and an exit code."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - the signature of the framework
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except ReplicatorError as error:
            show_error(error, is_json=wants_json(ctx))
            raise typer.Exit(error.exit_code) from None
        except BrokenPipeError:
            # Whoever read our output has gone; nothing is left to tell.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(1) from None
        except (typer.Exit, typer.Abort, KeyboardInterrupt):
            raise
        except Exception as error:
            if _is_usage(error):
                raise
            show_error(unexpected(error), is_json=wants_json(ctx))
            raise typer.Exit(Fatal.exit_code) from None


def show_error(error: ReplicatorError, *, is_json: bool = False) -> None:
    """Print an error, on standard error for people and on standard output as JSON."""
    mask = address_mask(os.environ)
    if is_json:
        body = {"error": {"class": type(error).__name__, "message": mask(error.message), "hint": mask(error.hint)}}
        print_json(body)
        return
    out = console(stderr=True)
    for each in error.parts if isinstance(error, ConfigurationError) else (error,):
        out.print(
            f"error: {printable_lines(mask(each.message))}", style="bold red" if out.is_terminal else "", soft_wrap=True
        )
        if each.hint:
            out.print(f"hint:  {printable_lines(mask(each.hint))}", soft_wrap=True)


def unexpected(error: Exception) -> ReplicatorError:
    """An error that nobody has thought of, without its text: that could quote a document."""
    place = trace_of(error)[-1:] or ["an unknown place"]
    return Fatal(
        f"unexpected {type(error).__name__} at {place[0]}",
        hint="This is a fault of the program: please report it with the command that was run.",
    )


def address_mask(environ: Mapping[str, str]) -> Mask:
    """A mask that knows the addresses of the environment, malformed or not."""
    return Mask(value for name in _ADDRESSES if (value := _setting(environ, name)))


def _setting(environ: Mapping[str, str], variable: str) -> str:
    """A setting's raw value, as far as it can be had: settings that cannot be read are somebody else's error."""
    if environ.get(variable) or variable + "_FILE" not in environ:
        return environ.get(variable, "")
    with suppress(OSError, UnicodeDecodeError):
        return Path(environ[variable + "_FILE"]).read_text(encoding="utf-8").strip()
    return ""


def _is_usage(error: Exception) -> bool:
    """Whether the framework itself complains about the command line, which it shows best."""
    return hasattr(error, "exit_code") and hasattr(error, "show")
