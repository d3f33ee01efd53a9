"""A hot standby of a PostgreSQL, by streaming replication."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import psycopg

from devstack.account import unprivileged
from devstack.errors import DevstackError
from devstack.ports import LOOPBACK
from devstack.postgres import SUPERUSER, PostgresServer, change_owner
from devstack.process import remove_directory, temporary_directory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from devstack.binaries import PostgresBinaries


def standby_of(
    primary: PostgresServer,
    binaries: PostgresBinaries,
    *,
    settings: Mapping[str, str] | None = None,
    through_port: int | None = None,
) -> PostgresServer:
    """Copy a running server and start the copy as its standby; its files are temporary.

    With `through_port` it follows by way of that port, such as a proxy's.
    """
    root = temporary_directory()
    account = unprivileged()
    change_owner(root, account)
    command = [str(binaries.bindir / "pg_basebackup"), "--pgdata", str(root / "data"), "--write-recovery-conf"]
    command += ["--checkpoint", "fast", "--no-sync", "--host", LOOPBACK, "--username", SUPERUSER]
    command += ["--port", str(through_port or primary.port)]
    environment = {"PATH": os.environ.get("PATH", os.defpath), "PGPASSWORD": primary.password, "LC_ALL": "C"}
    if binaries.libraries is not None:
        environment["LD_LIBRARY_PATH"] = str(binaries.libraries)
    try:
        ended = subprocess.run(  # noqa: S603 - the server's own program
            command,
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            cwd=root,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
        if ended.returncode == 0:
            return PostgresServer(
                binaries, root, port=None, password=primary.password, settings=settings or {}, temporary=root
            )
    except BaseException:
        remove_directory(root)
        raise
    remove_directory(root)
    raise DevstackError("pg_basebackup failed.", hint=ended.stderr.strip())


def promote(server: PostgresServer) -> None:
    """Make a standby a primary, and wait until it is."""
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute("select pg_promote(wait => true)")
