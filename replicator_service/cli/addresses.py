"""``--from``, ``--to`` and ``--mapping``: settings for one command, in the place of the environment's.

They are put into the environment of this process: whatever reads settings, or keeps secrets out of what is printed,
reads them there.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from replicator_service.configuration.environment import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable


def _instead_of(name: str) -> Callable[[typer.Context, str | None], str | None]:
    variable = PREFIX + name

    def put(context: typer.Context, value: str | None) -> str | None:
        if value is not None and not context.resilient_parsing:
            for each, new in ((variable, value), (variable + "_FILE", None)):
                context.call_on_close(_put(each, new))
        return value

    return put


def _put(variable: str, value: str | None) -> Callable[[], None]:
    """Set a variable, or take it away; what is given back undoes that."""
    before = os.environ.pop(variable, None)
    if value is not None:
        os.environ[variable] = value

    def undo() -> None:
        os.environ.pop(variable, None)
        if before is not None:
            os.environ[variable] = before

    return undo


From = Annotated[
    str | None,
    typer.Option(
        "--from",
        callback=_instead_of("MONGO_URI"),
        metavar="mongodb://HOST/DATABASE",
        help="Instead of REPLICATOR_MONGO_URI. Others on this machine can see it: a password is better off there.",
    ),
]
To = Annotated[
    str | None,
    typer.Option(
        "--to",
        callback=_instead_of("POSTGRES_DSN"),
        metavar="postgresql://HOST/DATABASE",
        help="Instead of REPLICATOR_POSTGRES_DSN.",
    ),
]
MappingFile = Annotated[
    str | None,
    typer.Option(
        "--mapping", callback=_instead_of("MAPPING"), metavar="FILE", help="The mapping; instead of REPLICATOR_MAPPING."
    ),
]
