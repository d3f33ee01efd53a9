"""The fingerprint changes with the content of rows, and with nothing else."""

from __future__ import annotations

import re

import pytest

from replicator_service.core.mapping.fingerprint import fingerprint
from replicator_service.core.mapping.loader import load_mapping
from replicator_service.core.mapping.model import DocumentCollection

FILE = """
version: 1
collections:
  Users:
    columns: {a: text, b: {path: c.d, type: text}}
    children:
      e: {columns: {f: {from: parent, type: text}}}
      g: {columns: {h: text}}
    indexes: [a]
"""


def fingerprint_of(text: str) -> str:
    (typed,) = load_mapping(text, name="test.yml").collections
    return fingerprint(typed)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a: text", "a: uuid"),
        ("{h: text}", "{h: text, i: text}"),
        ("c.d", "c.e"),
        ("c.d", '["c.d"]'),
        ("from: parent, ", ""),
        ("g: {columns", "g: {path: i, columns"),
        ("    indexes: [a]", "    keep_bson: always"),
        ("  Users:", "  Users:\n    table: people"),
        ("{h: text}", "{h: text}, table: people"),
    ],
)
def test_a_change_of_the_rows_changes_it(old: str, new: str) -> None:
    assert FILE.replace(old, new) != FILE
    assert fingerprint_of(FILE.replace(old, new)) != fingerprint_of(FILE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    indexes: [a]\n", ""),
        ("a: text, b: {path: c.d, type: text}", "b: {path: c.d, type: text}, a: text"),
        ("b: {path: c.d, type: text}", "b: {type: text, path: [c, d]}"),
        ("  Users:", "  Users:\n    table: users"),
    ],
)
def test_indexes_order_and_spelling_do_not_change_it(old: str, new: str) -> None:
    assert FILE.replace(old, new) != FILE
    assert fingerprint_of(FILE.replace(old, new)) == fingerprint_of(FILE)


def test_the_order_of_arrays_does_not_change_it() -> None:
    first, second = re.findall(r"^      [eg]: .*\n", FILE, re.MULTILINE)
    assert fingerprint_of(FILE.replace(first + second, second + first)) == fingerprint_of(FILE)


def test_a_document_table_has_one_too() -> None:
    assert fingerprint(DocumentCollection("Users", "users")) != fingerprint(DocumentCollection("Users", "people"))
    assert fingerprint(DocumentCollection("Users", "users")) == fingerprint(DocumentCollection("Users", "users"))


def test_rules_of_another_release_change_it_for_typed_tables_only(monkeypatch: pytest.MonkeyPatch) -> None:
    typed, documents = fingerprint_of(FILE), fingerprint(DocumentCollection("Users", "users"))
    monkeypatch.setattr("replicator_service.core.mapping.fingerprint._RULES", 1)
    assert fingerprint_of(FILE) != typed
    assert fingerprint(DocumentCollection("Users", "users")) == documents
