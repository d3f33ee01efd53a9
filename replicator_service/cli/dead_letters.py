"""``dead-letters``: documents that PostgreSQL refused, for a person to look at, try again or give up."""

from __future__ import annotations

import json as json_format
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import bson
import typer
from bson import json_util

from replicator_service.cli.database import control_tables, known_collection
from replicator_service.cli.output import Json, print_json, print_records, print_table, print_text, wants_json
from replicator_service.configuration.settings import Settings, load_settings
from replicator_service.core.errors import ConfigurationError
from replicator_service.core.times import time_text
from replicator_service.core.words import counted, listed
from replicator_service.sink.control import dead_letters
from replicator_service.sink.control.requests import add_request

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from replicator_service.sink.connect.connection import Connection
    from replicator_service.sink.control.dead_letters import DeadLetter

dead_letters_app = typer.Typer(help="Documents that PostgreSQL refused.", no_args_is_help=True)

_NUMBERS = 8
_NUMBER = re.compile(r"(?<!SQLSTATE )\b[0-9]+\b")
_CANONICAL = json_util.CANONICAL_JSON_OPTIONS

Numbers = Annotated[
    list[int] | None, typer.Argument(help="Numbers of dead letters, as 'list' shows.", metavar="[ID]...")
]
Everything = Annotated[bool, typer.Option("--all", help="Every dead letter.")]
OfCollection = Annotated[str | None, typer.Option("--collection", "-c", help="Only those of this collection.")]


@dead_letters_app.command("list")
def list_command(
    context: typer.Context,
    collection: OfCollection = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Dead letters, or reasons, to show.")] = 100,
    *,
    each: Annotated[bool, typer.Option("--each", help="A line for each dead letter, the oldest first.")] = False,
    json: Json = False,  # noqa: ARG001 - read from the context
) -> None:
    """List them by reason, the most frequent first, with the numbers of some."""
    settings = load_settings()
    with control_tables(settings) as connection:
        found = _listed(connection, settings, collection, None)
    reasons = by_reason(found)
    if wants_json(context):
        print_json(
            {
                "total": len(found),
                "reasons": [reason.as_json() for reason in reasons],
                "dead_letters": [_fields(dead_letter) for dead_letter in found[:limit]],
            }
        )
        return
    if not found:
        print_text("no dead letters")
        return
    if each:
        columns = ("id", "collection", "source id", "operation", "since", "tried again", "error")
        print_table(columns, [_row(dead_letter) for dead_letter in found[:limit]], right=("id",))
        if len(found) > limit:
            print_text(f"{len(found) - limit} more: --limit shows them")
        return
    for reason in reasons[:limit]:
        print_records([(f"{reason.collection}: {reason.error}", list(reason.fields()))])
    if len(reasons) > limit:
        print_text(f"{counted(len(reasons) - limit, 'more reason')}: --limit shows them")
    print_text(
        f"{counted(len(found), 'dead letter')}, {counted(len(reasons), 'reason')}. --each lists every one; once the "
        "reason is gone: replicator dead-letters retry --all"
    )


@dataclass(frozen=True, slots=True)
class Reason:
    """Dead letters of one collection that were refused for the same reason, the oldest first."""

    collection: str
    error: str
    kept: tuple[DeadLetter, ...]

    def as_json(self) -> dict[str, Any]:
        """What programs get."""
        return {
            "collection": self.collection,
            "reason": self.error,
            "count": len(self.kept),
            "first": time_text(min(dead_letter.created_at for dead_letter in self.kept)),
            "last": time_text(max(dead_letter.created_at for dead_letter in self.kept)),
        }

    def fields(self) -> Iterator[tuple[str, str]]:
        """What people get below the reason."""
        told = self.as_json()
        yield "dead letters", f"{len(self.kept):,}"
        yield "since", told["first"] if told["first"] == told["last"] else f"{told['first']}, last {told['last']}"
        numbers = [str(dead_letter.id) for dead_letter in self.kept]
        yield "numbers", listed(numbers, most=_NUMBERS)
        yield "look at one", f"replicator dead-letters show {numbers[0]}"


def by_reason(kept: Sequence[DeadLetter]) -> list[Reason]:
    """Dead letters by collection and reason, the most frequent first; numbers inside a reason tell no two apart."""
    groups: dict[tuple[str, str], list[DeadLetter]] = {}
    for dead_letter in kept:
        groups.setdefault((dead_letter.collection, _NUMBER.sub("…", dead_letter.error)), []).append(dead_letter)
    found = [Reason(collection, error, tuple(each)) for (collection, error), each in groups.items()]
    return sorted(found, key=lambda reason: (-len(reason.kept), reason.collection, reason.error))


@dead_letters_app.command("show")
def show_command(
    context: typer.Context,
    number: Annotated[int, typer.Argument(help="The number of the dead letter.", metavar="ID")],
    *,
    json: Json = False,  # noqa: ARG001 - read from the context
) -> None:
    """Show one with its document, as MongoDB's Extended JSON."""
    settings = load_settings()
    with control_tables(settings) as connection:
        dead_letter = _chosen(connection, settings, [number])[0]
        content = dead_letters.document_of(connection, settings.mongo_database, number)
    document = json_format.loads(json_util.dumps(bson.decode(content), json_options=_CANONICAL))
    if wants_json(context):
        print_json({**_fields(dead_letter), "document": document})
        return
    for name, value in _fields(dead_letter).items():
        print_text(f"{name}: {'' if value is None else value}")
    print_text(json_format.dumps({"document": document}, indent=2, ensure_ascii=False))


@dead_letters_app.command("retry")
def retry_command(
    context: typer.Context,
    numbers: Numbers = None,
    collection: OfCollection = None,
    *,
    everything: Everything = False,
    json: Json = False,  # noqa: ARG001 - read from the context
) -> None:
    """Write the present version of these documents again; what is refused again becomes a new dead letter."""
    _require_one_choice(numbers, collection, everything=everything)
    settings = load_settings()
    stream = settings.mongo_database
    with control_tables(settings) as connection, connection.transaction():
        ids = _ids(connection, settings, numbers, collection)
        if ids:
            dead_letters.mark_retried(connection, stream, ids)
            add_request(connection, stream, "retry", None)
    _tell(context, {"request": "retry", "dead_letters": ids}, f"{counted(len(ids), 'dead letter')} will be tried again")


@dead_letters_app.command("drop")
def drop_command(
    context: typer.Context,
    numbers: Numbers = None,
    collection: OfCollection = None,
    *,
    everything: Everything = False,
    json: Json = False,  # noqa: ARG001 - read from the context
) -> None:
    """Give these documents up: PostgreSQL stays without them until they change or are resynced."""
    _require_one_choice(numbers, collection, everything=everything)
    settings = load_settings()
    with control_tables(settings) as connection, connection.transaction():
        ids = _ids(connection, settings, numbers, collection)
        dropped = dead_letters.drop_dead_letters(connection, settings.mongo_database, ids) if ids else 0
    _tell(context, {"dropped": dropped, "dead_letters": ids}, f"{counted(dropped, 'dead letter')} dropped")


def _listed(
    connection: Connection, settings: Settings, collection: str | None, ids: list[int] | None
) -> list[DeadLetter]:
    stream = settings.mongo_database
    if collection is not None:
        known_collection(connection, stream, collection)
    return dead_letters.list_dead_letters(connection, stream, collection=collection, ids=ids)


def _chosen(connection: Connection, settings: Settings, numbers: list[int]) -> list[DeadLetter]:
    found = _listed(connection, settings, None, numbers)
    if missing := sorted(set(numbers) - {dead_letter.id for dead_letter in found}):
        raise ConfigurationError(
            f"there is no dead letter {', '.join(map(str, missing))}",
            hint="'replicator dead-letters list' shows the numbers; a later version of a document settles its own.",
        )
    return found


def _require_one_choice(numbers: list[int] | None, collection: str | None, *, everything: bool) -> None:
    chosen = sum((bool(numbers), collection is not None, everything))
    if chosen != 1:
        problem = "the dead letters are chosen in several ways" if chosen else "no dead letters are chosen"
        raise ConfigurationError(problem, hint="Give their numbers, or --collection NAME, or --all.")


def _ids(connection: Connection, settings: Settings, numbers: list[int] | None, collection: str | None) -> list[int]:
    """The letters that were chosen: by number, by collection, or all."""
    if numbers:
        return [dead_letter.id for dead_letter in _chosen(connection, settings, numbers)]
    return [dead_letter.id for dead_letter in _listed(connection, settings, collection, None)]


def _fields(dead_letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": dead_letter.id,
        "collection": dead_letter.collection,
        "source_id": dead_letter.source_id,
        "operation": dead_letter.operation,
        "error": dead_letter.error,
        "cluster_time": dead_letter.cluster_time,
        "created_at": time_text(dead_letter.created_at),
        "retried_at": time_text(dead_letter.retried_at) if dead_letter.retried_at else None,
    }


def _row(dead_letter: DeadLetter) -> tuple[object, ...]:
    return (
        dead_letter.id,
        dead_letter.collection,
        dead_letter.source_id,
        dead_letter.operation,
        time_text(dead_letter.created_at),
        "yes" if dead_letter.retried_at else "no",
        dead_letter.error,
    )


def _tell(context: typer.Context, answer: dict[str, Any], text: str) -> None:
    if wants_json(context):
        print_json(answer)
    else:
        print_text(text)
