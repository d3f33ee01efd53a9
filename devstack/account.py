"""The OS user that PostgreSQL runs as: it refuses to run as root."""

from __future__ import annotations

import os
import pwd
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from devstack.errors import DevstackError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Account:
    """An OS user and its primary group."""

    name: str
    uid: int
    gid: int


def unprivileged() -> Account | None:
    """Return whom to become: None for an ordinary user; for root `postgres`, `nobody`, or user id 65534."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    return Account("65534", 65534, 65534)


def may_enter(account: Account | None, directory: Path) -> bool:
    """Tell whether the account may pass through `directory` and everything above it, as far as these exist."""
    if account is None:
        return True
    resolved = directory.resolve()
    return all(_may_pass(account, path) for path in (resolved, *resolved.parents) if path.exists())


def require_entry(account: Account | None, directory: Path, *, hint: str) -> None:
    """Fail unless the account can reach `directory`."""
    if not may_enter(account, directory):
        assert account is not None  # noqa: S101 - the process itself may enter everywhere
        raise DevstackError(f"{directory} cannot be reached by the OS user {account.name}.", hint=hint)


def _may_pass(account: Account, path: Path) -> bool:
    status = path.stat()
    if status.st_uid == account.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == account.gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)
