"""The SQL of a mapping's tables."""

from __future__ import annotations

import pytest

from replicator_service.core.mapping.ddl import create_statements, identifier, literal, render_ddl
from replicator_service.core.mapping.descriptions import is_ours
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


def statements(text: str) -> tuple[list[str], dict[str, str]]:
    """The statements of a script, and its comments by what they are on."""
    parts = [part for part in text.removesuffix("\n").removesuffix(";").split(";\n\n") if part]
    comments = dict(part.removeprefix("comment on ").split(" is ", 1) for part in parts if part.startswith("comment"))
    return [part for part in parts if not part.startswith("comment")], comments


def test_the_script_creates_schema_tables_keys_and_indexes_in_the_order_of_the_file() -> None:
    created, comments = statements(render_ddl("my db", load_mapping(FILE, name="test.yml")))
    assert created == [
        'create schema if not exists "my db"',
        """\
create table if not exists "my db"."order" (
    "_id" text not null,
    "user" text,
    "say ""hi"" twice" timestamptz[],
    "_extra" jsonb,
    "_bson" bytea,
    "etl_valid_from" timestamptz not null,
    constraint "order_pkey" primary key ("_id")
)""",
        'create index if not exists "order__user__etl_valid_from_idx" on "my db"."order" ("user", "etl_valid_from")',
        """\
create table if not exists "my db"."order_lines" (
    "_id" text not null,
    "_ordinal" integer not null,
    "price" numeric,
    "_extra" jsonb,
    "_bson" bytea,
    "etl_valid_from" timestamptz not null,
    constraint "order_lines_pkey" primary key ("_id", "_ordinal")
)""",
    ]
    # Every table and every column, and the schema.
    assert len(comments) == 1 + 2 + 6 + 6
    assert comments['column "my db"."order"."user"'] == "'MongoDB field user as text.'"


def test_an_empty_mapping_creates_the_schema() -> None:
    created, _ = statements(render_ddl("origin", load_mapping("version: 1", name="test.yml")))
    assert created == ['create schema if not exists "origin"']


DESCRIBED = """
version: 1
collections:
  "it's \\\\":
    table: "Users"
    description: Whoever has an account.
    columns:
      id: {path: _id, type: bigint, description: "The customer's number"}
    children:
      tags:
        description: "What they like,\\nby their own words"
        table: user_tags
        columns: {id: {from: parent, path: _id, type: bigint}, word: text}
"""


def test_comments_say_what_the_mapping_says_where_values_come_from_and_how_tables_join() -> None:
    parent, child = tables_of(load_mapping(DESCRIBED, name="test.yml").collections[0])
    assert parent.comment == (
        "Whoever has an account.\nMongoDB collection it's \\, one row a document. "
        "Its arrays are rows of user_tags (tags): join them by _id."
    )
    assert child.comment == (
        '@foreignKey (_id) references "Users" (_id)\nWhat they like,\nby their own words\n'
        "MongoDB array tags of it's \\, one row an element. Join: using (_id) with Users."
    )
    said = {column.name: column.comment for column in parent.columns}
    assert said["id"] == "The customer's number\nMongoDB field _id as bigint."
    assert "_extra ->> 'name'" in said["_extra"]
    inherited = next(column.comment for column in child.columns if column.name == "id")
    assert inherited == "MongoDB field _id, of the document that the element is in, as bigint."
    everything = [
        comment for table in (parent, child) for comment in (table.comment, *(c.comment for c in table.columns))
    ]
    assert all(map(is_ours, everything))


def test_a_comment_of_somebody_else_is_told_from_ours() -> None:
    assert is_ours("")
    assert not is_ours("Customers, see the wiki. MongoDB field?")
    assert not is_ours("MongoDB field a as text.\nAsk Anna about it.")


@pytest.mark.parametrize("text", ["plain", "it's", "back\\slash", "a\nb"])
def test_a_text_is_quoted_so_that_no_setting_changes_it(text: str) -> None:
    quoted = literal(text)
    assert quoted.startswith("E'" if "\\" in text else "'")
    assert quoted.removeprefix("E")[1:-1].replace("''", "'").replace("\\\\", "\\") == text


def test_a_document_table_is_created_too() -> None:
    (table,) = tables_of(DocumentCollection("Logs", "logs"))
    (statement,) = create_statements("origin", table)
    assert '"doc" jsonb,' in statement
    assert not statement.endswith(";")


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_what_cannot_be_a_name_is_not_quoted(name: str) -> None:
    with pytest.raises(ValueError, match="a name in PostgreSQL"):
        identifier(name)
