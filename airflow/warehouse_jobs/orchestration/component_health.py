"""Whether one component of Airflow is well: ``python -m warehouse_jobs.orchestration.component_health scheduler``.

The API server answers with status 200 even when every other component is dead, so its answer has to be read. Asking it
costs little; ``airflow jobs check`` imports all of Airflow, for seconds, each time.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
from urllib.parse import urlsplit

COMPONENTS = ("metadatabase", "scheduler", "dag_processor", "triggerer")
"""As the answer names them; the first one is the API server's own."""

_SERVER = "AIRFLOW__CORE__EXECUTION_API_SERVER_URL"
_ANSWER_SECONDS = 5.0
_NOT_WELL = 1
_USAGE = 2


def main(arguments: list[str], server: str) -> int:
    """Return the exit code: 0 when well, 1 when not or when nobody answers at ``server``, and then a line of cause."""
    if len(arguments) != 1 or arguments[0] not in COMPONENTS:
        sys.stderr.write(f"error: name one of {', '.join(COMPONENTS)}\n")
        return _USAGE
    try:
        status = status_of(arguments[0], server)
    except (OSError, http.client.HTTPException, ValueError) as error:
        sys.stderr.write(f"error: the API server does not say: {type(error).__name__}\n")
        return _NOT_WELL
    if status != "healthy":
        sys.stderr.write(f"error: {arguments[0]} is {status or 'not there'}\n")
        return _NOT_WELL
    return 0


def status_of(component: str, server: str) -> str | None:
    """What the API server at the address ``server`` says of a component; None for one that has never reported.

    Raises OSError, HTTPException or ValueError when there is no answer that can be read.
    """
    address = urlsplit(server)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", "/api/v2/monitor/health")
        answer = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    if not isinstance(answer, dict):
        raise ValueError("no object")  # noqa: TRY004 - the reader's fault is none of type
    found = (answer.get(component) or {}).get("status")
    return None if found is None else str(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ.get(_SERVER, "http://127.0.0.1:8080")))
