"""`mapping drift`: what it prints is a mapping that takes everything, and nothing of a value is in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import bson
import pytest
import yaml
from bson import Binary, Decimal128, ObjectId

from replicator_service.core.mapping.ddl import render_ddl
from replicator_service.core.mapping.loader import load_mapping
from replicator_service.core.transform import compile_transform
from replicator_service.sink.connect.connection import connect
from replicator_service.sink.control import schema_findings
from replicator_service.sink.control.migrations import migrate
from tests.support.processes import Operator
from tests.support.transforms import write

if TYPE_CHECKING:
    from pathlib import Path

    from replicator_service.core.mapping.model import Mapping
    from tests.support.databases import Sink

FILE = """
version: 1
collections:
  Sessions:
    columns:
      user_id: integer
      count: integer
      price: double precision
      pages: "text[]"
      when: timestamptz
      status: {path: details.status, type: text}
      old: text
    children:
      messages:
        columns:
          user_id: {from: parent, type: integer}
          sender: text
          at: timestamptz
"""
SECRET = "topsecret"
DOCUMENTS: list[dict[str, Any]] = [
    {"user_id": "u1", "count": 2**40, "price": Decimal128("1.5"), "pages": [{}], "when": SECRET},
    {"user_id": ObjectId(), "count": 1.5, "price": 1.0, "when": None, "details": {"status": ["a"], "source": SECRET}},
    {"details": 5, "messages": [{"sender": "s", "at": SECRET, "tone": 1, "a.b": True}, "odd"]},
    {
        "address": {"city": SECRET, "zip": 5},
        "tags": ["a"],
        "odd name": Binary(bytes(16), 4),
        "nothing": None,
        "old ": 1,
    },
]


@dataclass
class Place:
    """A database with the rows of the documents, without a service."""

    operator: Operator
    file: Path
    sink: Sink

    def write(self, mapping: Mapping) -> int:
        """Make the tables anew with the documents' rows and return how many values no column took, new fields aside."""
        (typed,) = mapping.collections
        transform = compile_transform(typed)
        lines: list[list[str]] = [[] for _ in transform.tables]
        for number, document in enumerate(DOCUMENTS):
            write(transform, bson.encode({"_id": number, **document}), lines)
        with connect(self.sink.dsn, application_name="test") as connection:
            migrate(connection)
            connection.execute("drop schema if exists origin cascade")
            connection.execute(render_ddl("origin", mapping).encode())
            for table, rows in zip(transform.tables, lines, strict=True):
                with connection.cursor().copy(f"copy origin.{table.name} from stdin".encode()) as copy:
                    copy.write("".join(f"{row}\n" for row in rows))
            connection.execute(
                "insert into replicator.checkpoint (stream, resume_token, cluster_time) values ('origin', '{}', 1) "
                "on conflict do nothing"
            )
            schema_findings.add(connection, "origin", transform.take_findings(), 1_700_000_000 << 32)
        return transform.altered


@pytest.fixture
def place(sink: Sink, tmp_path: Path) -> Place:
    file = tmp_path / "mapping.yml"
    file.write_text(FILE)
    environ = {
        "REPLICATOR_MONGO_URI": "mongodb://127.0.0.1:1",
        "REPLICATOR_MONGO_DATABASE": "origin",
        "REPLICATOR_POSTGRES_DSN": sink.dsn,
        "REPLICATOR_MAPPING": str(file),
    }
    found = Place(Operator(environ, tmp_path), file, sink)
    found.write(load_mapping(FILE, name="mapping.yml"))
    return found


def merged(place: Place, answer: dict[str, Any]) -> str:
    """The file with the printed lines in it: added, or in the place of those that they replace."""
    content = yaml.safe_load(place.file.read_text())
    printed = yaml.safe_load(answer["mapping"])
    for name, collection in printed["collections"].items():
        target = content["collections"][name]
        target["columns"].update(collection.get("columns", {}))
        for array, child in collection.get("children", {}).items():
            target["children"][array]["columns"].update(child["columns"])
    return str(yaml.safe_dump(content, sort_keys=False))


def test_the_printed_lines_pass_the_check_and_take_what_did_not_fit(place: Place) -> None:
    answer = place.operator.answer("mapping", "drift")
    lines = {line["yaml"]: line["replaces"] for line in answer["collections"]["Sessions"]["lines"]}
    assert lines == {
        "user_id: text": "integer",
        "user_id: {from: parent, type: text}": "integer",
        "count: double precision": "integer",
        "price: numeric": "double precision",
        "pages: jsonb": "text[]",
        "when: jsonb": "timestamptz",
        "status: {path: details.status, type: jsonb}": "text",
        "at: jsonb": "timestamptz",
        "details_source: {path: details.source, type: text}": None,
        "tone: integer": None,
        'a_b: {path: ["a.b"], type: boolean}': None,
        "address_city: {path: address.city, type: text}": None,
        "address_zip: {path: address.zip, type: integer}": None,
        "tags: text[]": None,
        'odd_name: {path: "odd name", type: uuid}': None,
        'old_2: {path: "old ", type: integer}': None,
    }
    remarks = "\n".join(answer["collections"]["Sessions"]["remarks"])
    for told in (
        "Sessions details: 1 value where",
        "Sessions messages: 1 value where",
        "Sessions nothing: 1",
        "Sessions old: 4",
    ):
        assert told in remarks
    alone = place.file.with_name("alone.yml")
    alone.write_text(answer["mapping"])
    assert place.operator.answer("mapping", "check", str(alone))["ok"]
    place.file.write_text(merged(place, answer))
    assert place.operator.answer("mapping", "check", str(place.file))["ok"]
    # A number in the place of a sub-document and a text in an array of sub-documents have no type.
    assert place.write(load_mapping(place.file.read_bytes(), name="x")) == 2


def test_no_value_is_in_what_is_printed(place: Place) -> None:
    done = place.operator.replicator("mapping", "drift")
    assert done.exit_code == 0, done.output
    assert SECRET not in done.output
    assert "misfit" in done.output
    assert SECRET not in place.operator.replicator("mapping", "drift", "--json").output


def test_what_is_forgotten_is_counted_anew(place: Place) -> None:
    assert place.operator.answer("mapping", "drift", "--forget")["forgotten"]
    answer = place.operator.answer("mapping", "drift")
    assert {finding["kind"] for finding in answer["collections"]["Sessions"]["findings"]} == {"gone"}


def test_without_a_mapping_it_says_that_nothing_can_drift(place: Place) -> None:
    del place.operator.environ["REPLICATOR_MAPPING"]
    done = place.operator.replicator("mapping", "drift")
    assert done.exit_code == 2
    assert "nothing can drift" in done.output
