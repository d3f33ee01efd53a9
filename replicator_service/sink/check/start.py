"""What is asked at a start, and what a refusal of PostgreSQL was about: the same requirements that ``check`` shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.core.findings import Level, require
from replicator_service.core.naming import schema_name
from replicator_service.sink.check import server_requirements, table_requirements
from replicator_service.sink.check.server_info import gather_server
from replicator_service.sink.check.table_info import gather_tables
from replicator_service.sink.check.tables_wanted import wanted_tables
from replicator_service.sink.control.migrations import migrate
from replicator_service.sink.overview.stream import is_installed

if TYPE_CHECKING:
    from replicator_service.core.errors import ReplicatorError
    from replicator_service.core.mapping.model import Mapping
    from replicator_service.sink.connect.connection import Connection

_PRIVILEGES = (
    server_requirements.USAGE,
    server_requirements.CREATE,
    server_requirements.TEMPORARY,
    table_requirements.SECURITY,
    table_requirements.PRIVILEGES,
    table_requirements.OWNED,
)


def prepare(connection: Connection, stream: str, mapping: Mapping) -> None:
    """Ask what can only fail later, and bring the control tables up to date.

    Raises :class:`ConfigurationError` with the first problem.
    """
    schema = schema_name(stream)
    require(server_requirements.REQUIREMENTS, gather_server(connection, schema, now=0.0))
    migrate(connection)
    tables, known = wanted_tables(connection, stream, mapping)
    require(table_requirements.REQUIREMENTS, gather_tables(connection, schema, tables, known))


def explained(connection: Connection, stream: str, mapping: Mapping, error: ReplicatorError) -> ReplicatorError:
    """What lies behind a refused privilege: the first that is missing, with its very statement, or else ``error``.

    On a connection that is in no transaction.
    """
    schema = schema_name(stream)
    server = gather_server(connection, schema, now=0.0)
    found = [(each.name, problem) for each in server_requirements.REQUIREMENTS for problem in each.problems(server)]
    if is_installed(connection) and not server.forbidden_schemas:
        tables, known = wanted_tables(connection, stream, mapping)
        info = gather_tables(connection, schema, tables, known)
        found += [(each.name, problem) for each in table_requirements.REQUIREMENTS for problem in each.problems(info)]
    problems = [problem for name, problem in found if name in _PRIVILEGES and problem.level is Level.FAIL]
    return problems[0].error if problems else error
