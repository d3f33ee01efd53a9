"""The SQL of a mapping's tables."""

from __future__ import annotations

import pytest

from replicator_service.core.mapping.ddl import create_statements, identifier, render_ddl
from replicator_service.core.mapping.loader import load_mapping
from replicator_service.core.mapping.model import DocumentCollection, tables_of

FILE = """
version: 1
collections:
  Order:
    table: order
    columns:
      user: text
      'say "hi" twice': timestamptz[]
    indexes: [[user, etl_valid_from]]
    children:
      lines: {columns: {price: numeric}}
"""


def test_the_script_creates_schema_tables_keys_and_indexes_in_the_order_of_the_file() -> None:
    assert render_ddl("my db", load_mapping(FILE, name="test.yml")) == (
        """\
create schema if not exists "my db";

create table if not exists "my db"."order" (
    "_id" text not null,
    "user" text,
    "say ""hi"" twice" timestamptz[],
    "_extra" jsonb,
    "_bson" bytea,
    "etl_valid_from" timestamptz not null,
    constraint "order_pkey" primary key ("_id")
);

create index if not exists "order__user__etl_valid_from_idx" on "my db"."order" ("user", "etl_valid_from");

create table if not exists "my db"."order_lines" (
    "_id" text not null,
    "_ordinal" integer not null,
    "price" numeric,
    "_extra" jsonb,
    "_bson" bytea,
    "etl_valid_from" timestamptz not null,
    constraint "order_lines_pkey" primary key ("_id", "_ordinal")
);
"""
    )


def test_an_empty_mapping_creates_the_schema() -> None:
    assert render_ddl("origin", load_mapping("version: 1", name="test.yml")) == (
        'create schema if not exists "origin";\n'
    )


def test_a_document_table_is_created_too() -> None:
    (table,) = tables_of(DocumentCollection("Logs", "logs"))
    (statement,) = create_statements("origin", table)
    assert '"doc" jsonb,' in statement
    assert not statement.endswith(";")


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_what_cannot_be_a_name_is_not_quoted(name: str) -> None:
    with pytest.raises(ValueError, match="a name in PostgreSQL"):
        identifier(name)
