"""Which key the rows were masked with: its fingerprint, so that another one is noticed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.core.errors import ConfigurationError, ResyncRequired
from replicator_service.sink.errors import translated

if TYPE_CHECKING:
    from replicator_service.sink.connect.connection import Connection

_KNOWN = "select fingerprint from replicator.mask_key where stream = %s"
_REMEMBER = """
insert into replicator.mask_key as k (stream, fingerprint) values (%s, %s)
on conflict (stream) do update set fingerprint = excluded.fingerprint, since = now()
"""
_FORGET = "delete from replicator.mask_key where stream = %s"
_ASKED = """
select from replicator.request where stream = %s and kind = 'resync' and collection is null and handled_at is null
"""
_CHANGED = "the mask key is not the one that the rows were written with"


def take_key(connection: Connection, stream: str, fingerprint: str | None) -> None:
    """Go on with the key of this fingerprint; None when nothing is masked with one.

    The first key is remembered. Raises :class:`ResyncRequired` for another one, until a resync of everything was asked
    for: rows of two keys would not join, and nobody would see it.
    """
    with translated():
        known = connection.execute(_KNOWN, (stream,)).fetchone()
        if fingerprint is None:
            if known is not None:
                connection.execute(_FORGET, (stream,))
            return
        if known == (fingerprint,):
            return
        if known is not None and not connection.execute(_ASKED, (stream,)).fetchall():
            raise ResyncRequired(
                _CHANGED,
                hint="Put the former key back (REPLICATOR_MASK_KEY_FILE). To continue with the new one: "
                "'replicator resync --all', which is done at the next start; then start the service again.",
            )
        connection.execute(_REMEMBER, (stream, fingerprint))


def require_key(connection: Connection, stream: str, fingerprint: str | None) -> None:
    """Make sure that what is masked now compares with the rows.

    Raises :class:`ConfigurationError` for another key than that of the rows.
    """
    with translated():
        known = connection.execute(_KNOWN, (stream,)).fetchone()
    if fingerprint is not None and known is not None and known != (fingerprint,):
        raise ConfigurationError(_CHANGED, hint="Give the key that the service runs with (REPLICATOR_MASK_KEY_FILE).")
