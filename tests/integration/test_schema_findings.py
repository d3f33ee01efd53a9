"""The table of findings: counts that add up, one row a path, bounded, and columns that nothing fills any more."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from replicator_service.core.findings import Checklist, Finding, Level
from replicator_service.core.mapping.ddl import render_ddl
from replicator_service.core.mapping.loader import load_mapping
from replicator_service.core.overview import FindingGroup
from replicator_service.core.schema_findings import MAX_PATHS, OTHERS, FindingKind, PathCount, SchemaFinding
from replicator_service.sink.check.control_checks import SCHEMA, check_control_tables
from replicator_service.sink.connect.connection import connect
from replicator_service.sink.control import schema_findings
from replicator_service.sink.control.migrations import migrate
from replicator_service.sink.overview.schema_findings import SHOWN
from replicator_service.sink.overview.stream import read_overview

if TYPE_CHECKING:
    from collections.abc import Iterator

    from replicator_service.sink.connect.connection import Connection
    from tests.support.databases import Sink

NEW, MISFIT = FindingKind.NEW_FIELD, FindingKind.MISFIT
EARLY, LATE = 1_700_000_000 << 32, 1_700_000_060 << 32
MAPPING = load_mapping(
    """
version: 1
collections:
  C:
    columns: {a: text, gone: text, odd: integer, deep: {path: d.gone, type: text}}
    children:
      items: {columns: {a: {from: parent, type: text}, x: text, gone: text}}
      none: {columns: {x: text}}
""",
    name="test.yml",
)
(TYPED,) = MAPPING.collections


@pytest.fixture
def connection(sink: Sink) -> Iterator[Connection]:
    """A database with the control tables and those of the mapping."""
    with connect(sink.dsn, application_name="test") as opened:
        migrate(opened)
        opened.execute(render_ddl("shop", MAPPING).encode())
        yield opened


def at(cluster_time: int) -> datetime:
    return datetime.fromtimestamp(cluster_time >> 32, UTC)


def counts(connection: Connection, collection: str = "C") -> dict[str, int]:
    found = schema_findings.list_findings(connection, "s", collection)
    return {f"{each.kind} {each.path}": each.count for each in found}


def test_counts_of_one_path_add_up_in_one_row_with_its_first_and_last_time(connection: Connection) -> None:
    for cluster_time, count in ((EARLY, 3), (LATE, 4), (EARLY, 1)):
        found = (PathCount("C", "a", MISFIT, count), PathCount("C", "a", NEW, 1), PathCount("D", "a", NEW, 2))
        schema_findings.add(connection, "s", found, cluster_time)
        schema_findings.add(connection, "other stream", found, cluster_time)
        schema_findings.add(connection, "s", (), cluster_time)
    assert schema_findings.list_findings(connection, "s") == [
        SchemaFinding("C", "a", MISFIT, at(EARLY), at(LATE), 8),
        SchemaFinding("C", "a", NEW, at(EARLY), at(LATE), 3),
        SchemaFinding("D", "a", NEW, at(EARLY), at(LATE), 6),
    ]


def test_they_are_rolled_back_with_the_rows_that_they_belong_to(connection: Connection) -> None:
    connection.execute("begin")
    schema_findings.add(connection, "s", (PathCount("C", "a", MISFIT, 1),), EARLY)
    connection.execute("rollback")
    assert counts(connection) == {}


def test_new_fields_are_bounded_over_commits_and_no_count_is_lost(connection: Connection) -> None:
    for start in range(0, 3 * MAX_PATHS, 50):
        found = [PathCount("C", f"f{number}", NEW, 2) for number in range(start, start + 50)]
        schema_findings.add(
            connection, "s", [*found, PathCount("C", "f0", NEW, 1), PathCount("C", "m", MISFIT, 1)], EARLY
        )
    found_now = counts(connection)
    assert sum(path.startswith("new_field f") for path in found_now) == MAX_PATHS
    assert found_now[f"new_field {OTHERS}"] == 2 * 2 * MAX_PATHS
    assert found_now["new_field f0"] == 2 + 12
    assert found_now["misfit m"] == 12


def test_a_renamed_collection_takes_its_findings_along(connection: Connection) -> None:
    for name in ("C", "D"):
        schema_findings.add(connection, "s", (PathCount(name, f"of {name}", NEW, 1),), EARLY)
    schema_findings.move(connection, "s", "C", "D")
    assert (counts(connection, "C"), counts(connection, "D")) == ({}, {"new_field of C": 1})
    schema_findings.forget(connection, "s", "D")
    assert counts(connection, "D") == {}


@pytest.mark.parametrize("is_analyzed", [False, True])
def test_a_column_that_no_row_fills_is_gone_until_one_does(connection: Connection, is_analyzed: bool) -> None:  # noqa: FBT001 - a parameter of the test
    def gone() -> list[str]:
        return sorted(schema_findings.look_for_gone(connection, "s", "shop", TYPED, EARLY))

    assert gone() == []
    connection.execute(
        "insert into shop.c (_id, a, etl_valid_from) select n, 'x', now() from generate_series(1, 9) as n"
    )
    connection.execute("insert into shop.c_items (_id, _ordinal, x, etl_valid_from) values ('1', 0, 'x', now())")
    schema_findings.add(connection, "s", (PathCount("C", "odd", MISFIT, 1),), EARLY)
    if is_analyzed:
        connection.execute("analyze")
    assert gone() == ["d.gone", "gone", "items.gone"]
    assert counts(connection) == {"gone gone": 9, "gone d.gone": 9, "gone items.gone": 1, "misfit odd": 1}
    connection.execute("update shop.c set gone = 'back' where _id = '5'")
    assert gone() == ["d.gone", "items.gone"]
    assert counts(connection) == {"gone d.gone": 9, "gone items.gone": 1, "misfit odd": 1}


def test_the_overview_tells_misfits_first_and_counts_the_rest(connection: Connection) -> None:
    assert read_overview(connection, "s", "shop").findings == ()
    found = [PathCount("C", f"f{number}", NEW, 9) for number in range(SHOWN + 9)]
    schema_findings.add(connection, "s", [*found, PathCount("C", "a", MISFIT, 2)], EARLY)
    view = read_overview(connection, "s", "shop")
    assert view.findings[0] == SchemaFinding("C", "a", MISFIT, at(EARLY), at(EARLY), 2)
    assert len(view.findings) == SHOWN
    assert view.finding_groups == (FindingGroup("C", MISFIT, 1, 2), FindingGroup("C", NEW, SHOWN + 9, 9 * (SHOWN + 9)))


def test_control_tables_of_an_older_release_tell_nothing(connection: Connection) -> None:
    connection.execute("drop table replicator.schema_finding")
    assert read_overview(connection, "s", "shop").finding_groups == ()


def test_check_warns_of_misfits_by_name_and_only_mentions_new_fields(connection: Connection) -> None:
    def line() -> Finding:
        checks = Checklist()
        check_control_tables(connection, "s", checks)
        return next(found for found in checks.findings if found.name == SCHEMA)

    assert (line().level, line().cause) == (Level.OK, "every value so far")
    schema_findings.add(connection, "s", [PathCount("C", "new", NEW, 9)], EARLY)
    assert line().level is Level.OK
    assert "1 in no column" in line().cause
    misfits = [PathCount("C", f"d.p{number}", MISFIT, 1000 - number) for number in range(5)]
    schema_findings.add(connection, "s", misfits, EARLY)
    assert line().level is Level.WARN
    assert line().cause == (
        "values that do not fit their column: C d.p0 (1,000), C d.p1 (999), C d.p2 (998) and 2 more; 1 in no column"
    )
    assert line().fix == "replicator mapping drift prints the lines for the mapping."
