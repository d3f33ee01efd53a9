"""What is inferred from any documents can be read as a mapping, and holds each of these documents unchanged."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from replicator_service.core.mapping.inference import Sampled, fold, merged, propose
from replicator_service.core.mapping.loader import load_mapping
from replicator_service.core.transform import compile_transform
from tests.support.examples import examples
from tests.support.inference import collections, file_of
from tests.support.transforms import cells_of, write

if TYPE_CHECKING:
    from replicator_service.core.mapping.inference.proposal import ProposedTable

# jsonschema has no types; it is here with Airflow.
JSONSCHEMA: Any = importlib.import_module("jsonschema")
SCHEMA_FILE = Path(__file__).parents[2] / "mappings" / "mapping.schema.json"
SCHEMA = JSONSCHEMA.Draft202012Validator(json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30).filter(
    lambda name: not name.startswith("system.")
)


@given(st.dictionaries(NAMES, collections(), max_size=3), st.text(max_size=20))
@examples(80)
def test_the_file_reads_as_the_tables_that_were_proposed_and_fits_the_schema(
    databases: dict[str, list[bytes]], skipped: str
) -> None:
    samples = [Sampled(name, len(raws), fold(raws)) for name, raws in databases.items()]
    proposal = propose([*samples, Sampled(f"empty {skipped}", 0, fold([]))])
    text = file_of(proposal)
    read = load_mapping(text, name="inferred")
    SCHEMA.validate(yaml.safe_load(text))
    assert read.collections == tuple(proposed.as_typed() for proposed in proposal.collections)
    assert {each.collection for each in proposal.document_tables} | {each.collection for each in read.collections} == {
        *databases,
        f"empty {skipped}",
    }


@given(collections())
@examples(250)
def test_every_sampled_document_becomes_a_row_without_an_altered_value(raws: list[bytes]) -> None:
    proposal = propose([Sampled("C", len(raws), fold(raws))])
    for proposed in proposal.collections:
        transform = compile_transform(proposed.as_typed())
        lines: list[list[str]] = [[] for _ in transform.tables]
        for raw in raws:
            write(transform, raw, lines)
        assert transform.altered == 0
        assert len(lines[0]) == proposed.table.rows == len(raws)
        for table, written in zip((proposed.table, *proposed.children), lines, strict=True):
            assert len(written) == table.rows
            assert _fields_left(written) <= {each.path[0] for each in table.left}


def _fields_left(lines: list[str]) -> set[str]:
    """Fields that are in ``_extra`` of any row."""
    extras = [cells_of(line)[-3] for line in lines]
    return {name for extra in extras if extra is not None for name in json.loads(extra)}


@given(collections(), collections(), collections())
@examples(60)
def test_shapes_merge_in_any_grouping_and_order(one: list[bytes], two: list[bytes], three: list[bytes]) -> None:
    a, b, c = fold(one), fold(two), fold(three)
    whole = fold([*one, *two, *three])
    assert merged(merged(a, b), c) == merged(a, merged(b, c)) == merged(c, merged(b, a)) == whole
    assert merged(a, fold([])) == merged(fold([]), a) == a
    assert (a, b, c) == (fold(one), fold(two), fold(three))


def _columns(table: ProposedTable) -> set[tuple[str, ...]]:
    return {each.column.path for each in table.columns}


@given(collections())
@examples(60)
def test_every_field_has_a_column_a_table_or_a_reason(raws: list[bytes]) -> None:
    shape = fold(raws)
    proposal = propose([Sampled("C", len(raws), shape)])
    for proposed in proposal.collections:
        named = _columns(proposed.table) | {each.path for each in proposed.table.left}
        named |= {child.path for child in proposed.children}
        assert {path[0] for path in named} == set(shape.fields) - {"_id"}
