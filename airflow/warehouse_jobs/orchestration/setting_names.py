"""The names under which the people who read Airflow's pages find what a hint tells them to look at.

The libraries name the variables and options of the command line. In Airflow addresses come from connections, and
options are parameters of the trigger form.
"""

from __future__ import annotations

import re

from warehouse_jobs.orchestration.connections import MONGO, POSTGRES

_PLACE = "the connection {} (Admin, Connections)"
_NAMES = {
    "REPLICATOR_MONGO_URI": _PLACE.format(MONGO),
    "REPLICATOR_MONGO_DATABASE": f"the schema of {_PLACE.format(MONGO)}",
    "WAREHOUSE_MONGO_URI": _PLACE.format(MONGO),
    "WAREHOUSE_MONGO_DATABASE": f"the schema of {_PLACE.format(MONGO)}",
    "REPLICATOR_POSTGRES_DSN": _PLACE.format(POSTGRES),
    "WAREHOUSE_POSTGRES_DSN": _PLACE.format(POSTGRES),
    # A form of Airflow takes them as they are.
    ", with special characters percent-encoded (@ is %40, / is %2F)": "",
    "--allow-deletes": "run again with the parameter allow_deletes",
    "--repair": "the parameter repair",
    "--accept": "the parameter accept",
    "--as-of": "the parameter as_of",
    "--allow-stale": "the parameter allow_stale",
    "--full": "the parameter full",
}
_ANY = re.compile("|".join(f"{re.escape(name)}(?:_FILE)?(?![\\w-])" for name in _NAMES))


def as_in_airflow(text: str) -> str:
    """The text with Airflow's names."""
    return _ANY.sub(lambda found: _NAMES[found[0].removesuffix("_FILE")], text)
