"""``replicator status``: asks the running service, and where none answers, PostgreSQL."""

from __future__ import annotations

import http.client
import json as json_format
import time
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from replicator_service.cli.output import Json, console, print_json, wants_json
from replicator_service.core.errors import ConfigurationError
from replicator_service.core.naming import schema_name
from replicator_service.core.steps import CollectionState
from replicator_service.runtime.server import url_host
from replicator_service.runtime.status import collections, last_reconciliation, leader
from replicator_service.settings import Settings, load_settings
from replicator_service.sink.connection import connect
from replicator_service.sink.overview import read_overview

if TYPE_CHECKING:
    from replicator_service.core.overview import DatabaseView

_TIMEOUT_SECONDS = 3.0
_FACTS = (
    ("state", "state"),
    ("role", "role"),
    ("lag_seconds", "lag, s"),
    ("oplog_headroom_seconds", "oplog headroom, s"),
    ("dead_letters", "dead letters"),
    ("cluster_wall_time", "checkpoint"),
)


def status_command(
    context: typer.Context,
    url: Annotated[
        str | None, typer.Option("--url", help="Address of the service, instead of the one in the settings.")
    ] = None,
    interval: Annotated[float, typer.Option("--interval", min=0.2, help="Seconds between looks, with --watch.")] = 1.0,
    *,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Look again and again, until Ctrl-C.")] = False,
    json: Json = False,  # noqa: ARG001 - read from the context
) -> None:
    """Show what the service does, and how far each collection is."""
    settings = None if url else load_settings()
    address = url or _address(settings)
    if not watch:
        found = look(address, settings)
        if wants_json(context):
            print_json(found)
        else:
            console().print(_drawn(found))
        return
    if wants_json(context):
        while True:
            print_json(look(address, settings))
            time.sleep(interval)
    with Live(console=console(), auto_refresh=False, screen=False) as live:
        while True:
            live.update(_drawn(look(address, settings)), refresh=True)
            time.sleep(interval)


def look(address: str, settings: Settings | None) -> dict[str, Any]:
    """The service's own status; without an answer, what PostgreSQL tells of it.

    Raises :class:`ReplicatorError` when neither can be asked.
    """
    try:
        return ask(address)
    except (OSError, http.client.HTTPException, ValueError) as error:
        if settings is None:
            raise ConfigurationError(
                f"no service answers at {address} ({type(error).__name__})", hint="Check the address after --url."
            ) from None
    with connect(settings.postgres_dsn.get_secret_value(), application_name="replicator command") as connection:
        view = read_overview(connection, settings.mongo_database, schema_name(settings.mongo_database))
    return from_database(settings.mongo_database, view, address)


def ask(address: str) -> dict[str, Any]:
    """The status from the service at ``address``."""
    parts = urlsplit(address if "//" in address else f"//{address}")
    connection = http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/status", headers={"Connection": "close"})
        answer = connection.getresponse()
        found = json_format.loads(answer.read())
    finally:
        connection.close()
    if answer.status != http.HTTPStatus.OK or not isinstance(found, dict) or "state" not in found:
        raise ValueError("the answer is not a status")
    return found


def from_database(stream: str, view: DatabaseView, address: str) -> dict[str, Any]:
    """The status as far as the control tables know it; lag and headroom are unknown from there."""
    return {
        "state": _state(view),
        "role": None,
        "stream": stream,
        "cluster_time": view.cluster_time,
        "cluster_wall_time": None,
        "lag_seconds": None,
        "converging": view.converging_until is not None,
        "oplog_headroom_seconds": None,
        "dead_letters": view.dead_letters,
        "collections": collections(view),
        "unsupported_collections": {},
        "last_reconciliation": last_reconciliation(view),
        "error": {
            "class": "Unreachable",
            "message": f"no service answers at {address}: this is what PostgreSQL knows",
            "hint": "Start it with 'replicator run', or give its address with --url.",
        },
        "leader": leader(view),
    }


def _state(view: DatabaseView) -> str:
    """What the service is doing, judged from outside; ``stopped`` when nobody holds the lease."""
    if view.leader is None:
        return "stopped"
    if view.is_paused:
        return "paused"
    if any(each.state is CollectionState.SNAPSHOTTING for each in view.collections.values()):
        return "snapshotting"
    return "streaming" if view.converging_until is None else "converging"


def _address(settings: Settings | None) -> str:
    if settings is None:
        return ""
    return f"http://{url_host(settings.http_host)}:{settings.http_port}/"


def _drawn(found: dict[str, Any]) -> Group:
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_row(Text("stream", "dim"), Text(str(found["stream"]), "bold"))
    for key, label in _FACTS:
        value = found.get(key)
        facts.add_row(Text(label, "dim"), Text("unknown" if value is None else str(value).replace("_", " ")))
    last = found.get("last_reconciliation")
    compared = "never" if last is None else f"{last['differences']} differences at {last['at']}"
    facts.add_row(Text("reconciled", "dim"), Text(compared))
    parts: list[Any] = [facts]
    error = found.get("error")
    if error:
        parts += [Text(f"\n{error['class']}: {error['message']}", "red"), Text(error["hint"], "dim")]
    if found.get("collections"):
        parts += [Text(), _collection_table(found["collections"])]
    for name, kind in found.get("unsupported_collections", {}).items():
        parts.append(Text(f"not replicated: {name} ({kind})", "yellow"))
    return Group(*parts)


def _collection_table(found: dict[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("collection", "table", "state"):
        table.add_column(column, overflow="fold")
    for column in ("rows, about", "snapshot", "dead letters"):
        table.add_column(column, justify="right")
    for name, each in found.items():
        share = each["snapshot_progress"]
        table.add_row(
            Text(name),
            Text(each["table"]),
            each["state"],
            f"{each['rows']:,}",
            "…" if share is None else f"{share:.0%}",
            str(each["dead_letters"]),
        )
    return table
