"""Makes ``select * from user_activity`` work: the mart schema, the database's ``search_path``, and what is fresh."""

from __future__ import annotations

from typing import cast

from psycopg import errors, sql
from psycopg.rows import tuple_row

from warehouse_jobs.marts.control_tables import SCHEMA, create_schema
from warehouse_jobs.marts.freshness import install_freshness
from warehouse_jobs.marts.results import InstallResult
from warehouse_jobs.marts.server import Warehouse, connected
from warehouse_jobs.marts.server_errors import translated

# The mart schema comes last, so that what others create without a schema still lands in theirs.
_DEFAULT_PATH = '"$user", public'

_READ_PATH = """
    select (
        select substring(setting from length('search_path=') + 1)
        from pg_catalog.pg_db_role_setting as settings
        cross join unnest(settings.setconfig) as setting
        where settings.setdatabase = database.oid and settings.setrole = 0 and setting like 'search_path=%'
    )
    from pg_catalog.pg_database as database
    where database.datname = current_database()
"""


def install(warehouse: Warehouse) -> InstallResult:
    """Make the schema with the view ``freshness``, and add it to the ``search_path``; again changes nothing.

    New sessions see it, unless their role has a ``search_path`` of its own. Without the privilege (the
    database belongs to somebody else) the result carries a warning with the statement to run, and the marts
    work by their full names.
    """
    with translated("(install)"), connected(warehouse) as connection, connection.transaction():
        cursor = connection.cursor(row_factory=tuple_row)
        # Concurrent changes of one database's settings fail with "tuple concurrently updated".
        cursor.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", ["mart schema"])
        create_schema(cursor)
        stale = install_freshness(cursor)
        found = cast("tuple[str | None]", cursor.execute(_READ_PATH).fetchone())[0]
        path = found if found is not None else _DEFAULT_PATH
        if SCHEMA in (part.strip().strip('"') for part in path.split(",")):
            return InstallResult(path, changed=False, warning=stale)
        wanted = f"{path}, {SCHEMA}" if path.strip() else SCHEMA
        schemas = sql.SQL(", ").join(sql.Identifier(part.strip().strip('"')) for part in wanted.split(","))
        database = sql.Identifier(connection.info.dbname)
        statement = sql.SQL("alter database {} set search_path = {}").format(database, schemas)
        try:
            with connection.transaction():
                cursor.execute(statement)
        except errors.InsufficientPrivilege:
            warning = (
                f"schema {SCHEMA} is not on the search_path, because the database belongs to another role; "
                f"its owner can run: {statement.as_string(connection)}"
            )
            return InstallResult(path, changed=False, warning="; ".join(filter(None, (warning, stale))))
    return InstallResult(wanted, changed=True, warning=stale)
