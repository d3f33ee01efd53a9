"""Keys as a PostgreSQL array, quoted when they have to be."""

from __future__ import annotations

from replicator_service.sink.write.array_text import array_text, column_text, column_texts


def test_plain_keys_are_only_joined() -> None:
    assert array_text(["0123456789abcdef01234567", "$number:1"]) == "{0123456789abcdef01234567,$number:1}"


def test_no_keys_are_an_empty_array() -> None:
    assert array_text([]) == "{}"


def test_keys_that_could_be_read_otherwise_are_quoted() -> None:
    assert array_text(["a,b", ""]) == '{"a,b",""}'
    assert array_text(["Null"]) == '{"Null"}'
    assert array_text(['q"\\']) == '{"q\\"\\\\"}'
    assert array_text(["a", "{b}"]) == '{"a","{b}"}'


def test_lines_of_copy_become_an_array_a_column() -> None:
    assert column_texts(["a\t\\N\t1", 'q"\\\\\t\\t\\n\\r\t\\\\N']) == [
        '{"a","q\\"\\\\"}',
        '{NULL,"\t\n\r"}',
        '{"1","\\\\N"}',
    ]


def test_the_values_of_one_column_are_there_once_and_without_null() -> None:
    lines = ["1\tb\\tc\tx", "2\t\\N\tx", "3\tNULL\tx", "4\tb\\tc\ty"]

    assert column_text(lines, 1) == '{"b\tc","NULL"}'
    assert column_text(lines, 2) == '{"x","y"}'
