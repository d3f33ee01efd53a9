"""Sending a command to one member of the replica set, whatever the driver would choose."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from pymongo import ReadPreference

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymongo.read_preferences import Nearest, Primary
    from pymongo.server_description import ServerDescription

Member = tuple[str, int | None]
"""Host and port, as the member calls itself."""

_wanted: ContextVar[Member | None] = ContextVar("member", default=None)


@contextmanager
def on_member(member: Member | None) -> Iterator[Primary | Nearest]:
    """Send what is asked inside to this member, whatever it is by now; None is the primary.

    Gives the read preference to ask with.
    """
    token = _wanted.set(member)
    try:
        yield ReadPreference.PRIMARY if member is None else ReadPreference.NEAREST
    finally:
        _wanted.reset(token)


def only_wanted(servers: list[ServerDescription]) -> list[ServerDescription]:
    """For the driver, to choose from the members that it considers."""
    member = _wanted.get()
    return servers if member is None else [each for each in servers if each.address == member]
