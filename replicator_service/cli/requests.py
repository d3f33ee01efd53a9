"""``resync``, ``forget``, ``pause`` and ``resume``: requests to the leader, left in PostgreSQL.

They work whether the service runs or not: what nobody can do now is done at the next start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from replicator_service.cli.database import control_tables, known_collection
from replicator_service.cli.output import Json, print_json, print_text, wants_json
from replicator_service.configuration.settings import load_settings
from replicator_service.core.errors import ConfigurationError
from replicator_service.sink.control.requests import add_request, pause, resume
from replicator_service.sink.overview.stream import lease_holder

if TYPE_CHECKING:
    from replicator_service.sink.connect.connection import Connection

Collection = Annotated[str | None, typer.Argument(help="A collection of MongoDB; all of them without one.")]


def resync_command(
    context: typer.Context,
    collection: Annotated[str | None, typer.Argument(help="The collection to read again.")] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Read every collection again.")] = False,
    json: Json = False,  # noqa: ARG001 - read from the context
) -> None:
    """Read a collection again while the stream continues; rows that no longer exist at the source are deleted."""
    if (collection is None) is not everything:
        raise ConfigurationError(
            "name one collection, or give --all", hint="replicator resync COLLECTION, or: replicator resync --all"
        )
    _ask(context, "resync", collection, "will be read again")


def forget_command(
    context: typer.Context,
    collection: Annotated[str, typer.Argument(help="A collection that does not exist in MongoDB any more.")],
    *,
    json: Json = False,  # noqa: ARG001 - read from the context
) -> None:
    """Forget a collection that is gone: its tables are dropped, or emptied where something else depends on them."""
    _ask(context, "forget", collection, "will be forgotten, unless it exists in MongoDB")


def pause_command(context: typer.Context, collection: Collection = None, *, json: Json = False) -> None:  # noqa: ARG001 - json is read from the context
    """Pause the whole stream (nothing is lost while the oplog lasts), or stop following one collection."""
    if collection is not None:
        _ask(context, "pause", collection, "will not be followed any more until it is resumed")
        return
    settings = load_settings()
    stream = settings.mongo_database
    with control_tables(settings) as connection:
        pause(connection, stream)
        _tell(
            context,
            {"request": "pause", "stream": stream, "collection": None, "is_led": _is_led(connection, stream)},
            f"{stream}: paused. The oplog is the limit: replicator_oplog_headroom_seconds shows what is left.",
        )


def resume_command(context: typer.Context, collection: Collection = None, *, json: Json = False) -> None:  # noqa: ARG001 - json is read from the context
    """Let the stream continue where it was paused, or follow a paused collection again (it is read anew)."""
    if collection is not None:
        _ask(context, "resume", collection, "will be read again and followed, if it is paused")
        return
    settings = load_settings()
    stream = settings.mongo_database
    with control_tables(settings) as connection:
        was_held = resume(connection, stream)
        _tell(
            context,
            {
                "request": "resume",
                "stream": stream,
                "collection": None,
                "is_led": _is_led(connection, stream),
                "was_held": was_held,
            },
            f"{stream}: continues" if was_held else f"{stream}: was not paused",
        )


def _ask(context: typer.Context, kind: str, collection: str | None, told: str) -> None:
    """Leave a request for the leader."""
    settings = load_settings()
    stream = settings.mongo_database
    with control_tables(settings) as connection:
        name = None if collection is None else known_collection(connection, stream, collection)
        number = add_request(connection, stream, kind, name)
        _tell(
            context,
            {
                "request": kind,
                "stream": stream,
                "collection": name,
                "id": number,
                "is_led": _is_led(connection, stream),
            },
            f"{stream if name is None else name}: {told}",
        )


def _is_led(connection: Connection, stream: str) -> bool:
    return lease_holder(connection, stream) is not None


def _tell(context: typer.Context, answer: dict[str, Any], text: str) -> None:
    if wants_json(context):
        print_json(answer)
        return
    print_text(text)
    if not answer["is_led"]:
        print_text("No service leads this stream now: this holds from its next start on.")
