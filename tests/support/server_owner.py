"""A program that starts servers and waits: the tests end it in every way there is.

It starts them in a thread that ends at once, prints one line of JSON about them and does work until its input ends.
"""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from devstack.mongo import MongoReplicaSet
from devstack.postgres import PostgresServer


def main() -> None:
    """Start, tell, wait, stop."""
    with ThreadPoolExecutor(1) as thread:
        mongo = thread.submit(MongoReplicaSet.start).result()
        postgres = thread.submit(PostgresServer.start).result()
    with mongo, postgres:
        told = {
            "user": os.geteuid(),
            "mongo_uri": mongo.uri,
            "postgres_dsn": postgres.dsn(),
            "pids": [mongo.pid, postgres.pid],
            "postgres_user": Path(f"/proc/{postgres.pid}").stat().st_uid,
            "directories": [str(mongo.members[0].log.parent), str(postgres.log.parent)],
        }
        print(json.dumps(told), flush=True)  # noqa: T201 - what the test reads
        sys.stdin.read()


if __name__ == "__main__":
    main()
