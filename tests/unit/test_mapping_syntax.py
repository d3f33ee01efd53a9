"""What is no YAML, or too much of it, is refused with its place before anything is read."""

from __future__ import annotations

import time

import pytest

from replicator_service.core.mapping.loader import load_mapping
from replicator_service.core.mapping.problems import MappingError, MappingProblem
from replicator_service.core.mapping.syntax import MAX_BYTES


def the_problem_of(text: str | bytes) -> MappingProblem:
    with pytest.raises(MappingError) as caught:
        load_mapping(text, name="test.yml")
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize(
    ("text", "line", "column", "message", "fix"),
    [
        ("", 1, 1, "the file is empty", "version: 1"),
        ("# only a comment\n", 1, 1, "the file is empty", "version: 1"),
        ("a: [", 1, 5, "not YAML", "quotes"),
        ("version: 1\n\tcollections: 1", 2, 1, "not YAML", "spaces"),
        ("version: 1\n--- \nversion: 1", 2, 1, "another document", "one document"),
        ("version: 1\na: {tags: text[]}", 2, 15, "not YAML", "quote an array type"),
        ("version: 1: 2", 1, 11, "not YAML", "colon"),
        ("a: *b", 1, 4, "undefined alias", "quote a name that starts with *"),
        ("a: 'x", 1, 6, "not YAML", "quotes"),
        ("version: \x00", 1, 10, "U+0000", "remove it"),
        ("version: 1\nx: \ud800", 2, 4, "U+D800", "remove it"),
        (b"version: 1\nx: \xff", 2, 4, "0xFF is not UTF-8", "UTF-8"),
        ("version: 1".encode("utf-16"), 1, 1, "0xFF is not UTF-8", "UTF-8"),
        ('a: "\\UFFFFFFFF"', 1, 1, "out of range", "remove it"),
        ('a: "\\U00110000"', 1, 1, "out of range", "remove it"),
        (f"%YAML 1.{'9' * 5000}\n---\na", 1, 1, "out of range", "remove it"),
        ("&a [*a]", 1, 5, "inside its own anchor", "write the value out"),
        ("a: &x 1\nb: &x 2", 2, 4, "duplicate anchor", "check"),
        (" " * (MAX_BYTES + 1), 1, 1, "larger than 4 MiB", "need columns"),
    ],
)
def test_text_that_is_no_yaml_is_refused_with_its_place_and_fix(
    text: str | bytes, line: int, column: int, message: str, fix: str
) -> None:
    problem = the_problem_of(text)
    assert (problem.line, problem.column, problem.path) == (line, column, "")
    assert message in problem.message
    assert fix in problem.fix


@pytest.mark.parametrize("opening", ["[", "{", "- ", "? ", "{a: ", "!!map {a: ", "&a ["])
def test_nesting_without_end_is_refused(opening: str) -> None:
    problem = the_problem_of(opening * 20_000)
    assert problem.line == 1


def test_aliases_that_multiply_are_refused_without_expanding_them() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 12)]
    started = time.monotonic()
    problem = the_problem_of("\n".join(lines))
    assert "more than 500000 nodes" in problem.message
    assert time.monotonic() - started < 5


def test_a_large_mapping_is_read() -> None:
    collections = "".join(
        f"  C{number}:\n    columns:\n" + "".join(f"      c{column}: text\n" for column in range(20))
        for number in range(100)
    )
    assert len(load_mapping(f"version: 1\ncollections:\n{collections}", name="test.yml").collections) == 100
