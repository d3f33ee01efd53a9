"""The staging table: what the role needs for it, and what is said where that is missing."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from replicator_service.core.errors import ConfigurationError
from replicator_service.core.mapping.model import DocumentCollection
from tests.support.row_tables import SCHEMA, WAYS, RowTables, update

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.databases import Sink

NOTES = DocumentCollection("notes", "notes")


@pytest.fixture
def role(sink: Sink) -> Iterator[str]:
    """A role that may do everything with the tables and has nothing of the database."""
    name = f'staging"{secrets.token_hex(4)}'
    quoted = sql.Identifier(name)
    with sink.connect() as connection:
        tables = RowTables(sink, [NOTES])
        tables.make()
        tables.connection.close()
        connection.execute(sql.SQL("create role {} login").format(quoted))
        connection.execute(sql.SQL("revoke all on database {} from public").format(sql.Identifier(sink.name)))
        connection.execute(sql.SQL("grant connect on database {} to {}").format(sql.Identifier(sink.name), quoted))
        connection.execute(sql.SQL("grant all on schema {} to {}").format(sql.Identifier(SCHEMA), quoted))
        connection.execute(sql.SQL("grant all on all tables in schema {} to {}").format(sql.Identifier(SCHEMA), quoted))
        yield name
        connection.execute(sql.SQL("drop owned by {}").format(quoted))
        connection.execute(sql.SQL("drop role {}").format(quoted))


def test_a_missing_privilege_is_named_with_its_grant(sink: Sink, role: str) -> None:
    with sink.connect() as administrator:
        administrator.execute(sql.SQL("alter role {} password 'secret'").format(sql.Identifier(role)))
        dsn = make_conninfo(sink.dsn, user=role, password="secret")
        tables = RowTables(sink, [NOTES], WAYS["by the staging table"], dsn)
        with pytest.raises(ConfigurationError, match="temporary tables") as caught:
            tables.write(update("notes", {"_id": 1}))
        administrator.execute(caught.value.hint.encode())
        assert tables.write(update("notes", {"_id": 1})) == 1
        tables.connection.close()
