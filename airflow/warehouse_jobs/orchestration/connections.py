"""Airflow's connections as the settings of the jobs.

The connections are ``mongo_db_conn`` and ``postgres_conn`` (docs/reference/airflow.md), and may be edited in the UI.
The providers' hooks read them; the jobs open their own connections. Airflow is imported inside the functions, so that
this module costs nothing where DAG files are parsed.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from replicator_service.configuration.settings import Settings
    from warehouse_jobs.generator.server import MongoSettings
    from warehouse_jobs.marts.settings import MartSettings

MONGO = "mongo_db_conn"
POSTGRES = "postgres_conn"

# Only the hook of Airflow knows these; what else is in Extra are options of the address.
_NO_OPTIONS_OF_MONGO = ("srv", "allow_insecure")


def mongo_settings() -> MongoSettings:
    """Where the shop's database is, by the connection ``mongo_db_conn``."""
    from airflow.providers.mongo.hooks.mongo import MongoHook

    from warehouse_jobs.generator.server import DEFAULT_DATABASE, MongoSettings

    hook = MongoHook(mongo_conn_id=MONGO)
    options = {name: _written(value) for name, value in hook.extras.items() if name not in _NO_OPTIONS_OF_MONGO}
    if hook.allow_insecure:
        # The hook has taken "ssl" away in this case.
        options |= {"tls": "true", "tlsAllowInvalidCertificates": "true"}
    slash = "" if hook.connection.schema else "/"
    uri = f"{hook.uri}{slash}?{urlencode(options)}" if options else hook.uri
    return MongoSettings(uri, hook.connection.schema or DEFAULT_DATABASE)


def postgres_dsn() -> str:
    """Where the warehouse is, by the connection ``postgres_conn``, as PostgreSQL's own kind of address."""
    from airflow.providers.postgres.hooks.postgres import PostgresHook
    from psycopg.conninfo import make_conninfo

    connection = PostgresHook(postgres_conn_id=POSTGRES).connection
    options = {
        name: str(value)
        for name, value in connection.extra_dejson.items()
        if name not in PostgresHook.ignored_extra_options
    }
    return make_conninfo(
        host=connection.host,
        port=connection.port,
        user=connection.login,
        password=connection.password,
        dbname=connection.schema,
        **options,
    )


def replicator_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """The service's settings with the addresses of the connections; the mapping is that of ``REPLICATOR_MAPPING``."""
    from replicator_service.configuration.settings import load_settings

    mongo = mongo_settings()
    return load_settings(environ, mongo_uri=mongo.uri, mongo_database=mongo.database, postgres_dsn=postgres_dsn())


def mart_settings(environ: Mapping[str, str] = os.environ) -> MartSettings:
    """The settings of the marts: the address by the connection, the rest (``MART_...``) from the environment."""
    from warehouse_jobs.marts.address import Address
    from warehouse_jobs.marts.settings import read_settings

    return read_settings(environ, Address(postgres_dsn(), f"the connection {POSTGRES} (Admin, Connections)"))


def _written(value: object) -> str:
    """An option as MongoDB's addresses spell it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
