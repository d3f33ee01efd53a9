"""Keys as a PostgreSQL array, quoted when they have to be."""

from __future__ import annotations

from replicator_service.sink.write.rows import array_text


def test_plain_keys_are_only_joined() -> None:
    assert array_text(["0123456789abcdef01234567", "$number:1"]) == "{0123456789abcdef01234567,$number:1}"


def test_no_keys_are_an_empty_array() -> None:
    assert array_text([]) == "{}"


def test_keys_that_could_be_read_otherwise_are_quoted() -> None:
    assert array_text(["a,b", ""]) == '{"a,b",""}'
    assert array_text(["Null"]) == '{"Null"}'
    assert array_text(['q"\\']) == '{"q\\"\\\\"}'
    assert array_text(["a", "{b}"]) == '{"a","{b}"}'
