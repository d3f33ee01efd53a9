"""``replicator health``: asks the service on this machine whether it lives; the health check of a container.

It needs the address and nothing else: no databases, no secrets.
"""

from __future__ import annotations

import http.client
from http import HTTPStatus
from typing import Annotated

import typer

from replicator_service.cli.output import Json, print_json, print_text, wants_json
from replicator_service.cli.service_http import START_IT, ask_service, connection_error_text
from replicator_service.configuration.environment import PREFIX, load_http_address
from replicator_service.core.errors import ConfigurationError, Retryable

_NOT_OK = 1
_LAST_LINES: dict[int, str] = {HTTPStatus.OK: "ok", HTTPStatus.SERVICE_UNAVAILABLE: "not ok"}
"""How the answer of a replicator ends, by its status."""


def health_command(
    context: typer.Context,
    url: Annotated[
        str | None, typer.Option("--url", help="Address of the service, instead of the one in the settings.")
    ] = None,
    *,
    ready: Annotated[bool, typer.Option("--ready", help="Ask whether it does its work, not only whether it lives.")] = (
        False
    ),
    json: Json = False,  # noqa: ARG001 - read from the context
) -> None:
    """Ask the running service whether it lives: exit code 0 if so, 1 if not, 3 if nothing answers."""
    address = url or _own_address()
    probe = "readyz" if ready else "livez"
    ok, conditions = ask(address, probe)
    if wants_json(context):
        print_json({"ok": ok, "probe": probe, "address": address, "conditions": conditions})
    else:
        word = "ready" if ready else "alive"
        print_text(f"{word if ok else 'not ' + word}: {'; '.join(conditions) or address}")
    raise typer.Exit(0 if ok else _NOT_OK)


def ask(address: str, probe: str) -> tuple[bool, list[str]]:
    """Whether the probe holds at ``address``, and its conditions in words.

    Raises :class:`Retryable` when no replicator answers there within seconds, and :class:`ConfigurationError` for what
    is no address.
    """
    try:
        status, content = ask_service(address, f"/{probe}?verbose")
    except (OSError, http.client.HTTPException) as error:
        raise _no_service(f"no service answers at {address}: {connection_error_text(error)}") from None
    lines = content.decode("utf-8", "replace").splitlines()
    if _LAST_LINES.get(status) != "".join(lines[-1:]):
        raise _no_service(f"what answers at {address} is no replicator (status {status})")
    return status == HTTPStatus.OK, lines[:-1]


def _own_address() -> str:
    settings = load_http_address()
    if settings.http_port == 0:
        raise ConfigurationError(
            f"{PREFIX}HTTP_PORT is 0, so the service took a free port", hint="Give its address with --url."
        )
    return settings.url


def _no_service(message: str) -> Retryable:
    return Retryable(message, hint=START_IT)
