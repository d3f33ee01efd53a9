"""``warehouse marts`` as operators meet it: output, exit codes, no stack trace and no secret."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from psycopg.conninfo import make_conninfo
from typer.testing import CliRunner, Result

from tests.marts.shop import login_as
from tests.marts.things import DEFINITION, SELECT, set_things, things, versions
from warehouse_jobs.cli import main
from warehouse_jobs.marts import Address, LoginRefusedError, ServerError, load

if TYPE_CHECKING:
    from pathlib import Path

    import psycopg

    Connection = psycopg.Connection[tuple[object, ...]]


@pytest.fixture
def marts(tmp_path: Path, dsn: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the mart of things, and the environment of a session that loads it."""
    (tmp_path / "things.yml").write_text(json.dumps(DEFINITION | {"checks": [{"non_negative": ["amount"]}]}))
    (tmp_path / "things.sql").write_text(SELECT)
    monkeypatch.setenv("WAREHOUSE_POSTGRES_DSN", dsn)
    monkeypatch.setenv("MART_DIRECTORY", str(tmp_path))
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["marts", *arguments], env={"COLUMNS": "200", "NO_COLOR": "1"})


def output_of(*arguments: str, exit_code: int = 0) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == exit_code, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


@pytest.mark.usefixtures("marts")
def test_load_diff_and_as_of_tell_one_story(connection: Connection) -> None:
    set_things(connection, {"a": ("x", 1)})
    assert run("diff").exit_code == 1
    loaded = output_of("load", "--as-of", "2026-01-01")["marts"][0]
    assert (loaded["mart"], loaded["inserted"], loaded["as_of"]) == ("things", 1, "2026-01-01T00:00:00+00:00")
    assert {"name": "non_negative(amount)", "passed": True, "failing": 0} in loaded["checks"]
    assert run("diff").exit_code == 0

    set_things(connection, {"a": ("x", 2)})
    change = output_of("diff", "things", exit_code=1)["marts"][0]["changes"][0]
    assert change == {"kind": "versioned", "key": ["a"], "columns": {"amount": {"now": 1, "then": 2}}}
    assert run("load", "--as-of", "2026-01-03T03:00:00+03:00").exit_code == 0
    assert versions(connection) == [("a", "x", 1, 1, 3), ("a", "x", 2, 3, None)]

    row = output_of("as-of", "things", "2026-01-02")["rows"][0]
    assert (row["amount"], row["etl_valid_to"][:10]) == (1, "2026-01-03")
    assert "2026-01-03T00:00:00Z" in run("as-of", "things", "2026-01-02").stdout


@pytest.mark.usefixtures("marts")
def test_people_get_a_line_a_mart_and_a_table_of_changes(connection: Connection) -> None:
    set_things(connection, {"a": ("[red]x", 1)})
    result = run("diff")
    assert "1 row: 1 inserted, 0 versioned, 0 closed, 0 overwritten, 0 unchanged; 3 of 3 checks passed" in result.stdout
    assert "[red]x" in result.stdout


@pytest.mark.usefixtures("marts")
def test_the_current_time_is_the_default(connection: Connection) -> None:
    set_things(connection, {"a": ("x", 1)})
    assert run("load").exit_code == 0
    query = "select now() - etl_valid_from between interval '0' and interval '1 minute' from mart.things"
    assert connection.execute(query).fetchone() == (True,)


@pytest.mark.usefixtures("marts")
def test_a_failed_check_is_exit_code_1(connection: Connection) -> None:
    set_things(connection, {"a": ("x", -1)})
    result = run("load")
    assert result.exit_code == 1
    assert "1 of 3 data checks failed: non_negative(amount): 1 row" in result.stderr
    assert "Nothing was published" in result.stderr
    assert output_of("load", exit_code=1)["marts"][0]["error"]["class"] == "ChecksFailedError"
    assert "check failed: non_negative(amount): 1 row" in run("diff").stdout


def test_one_mart_that_fails_does_not_keep_the_others_away(connection: Connection, marts: Path) -> None:
    set_things(connection, {"a": ("x", 1)})
    (marts / "broken.yml").write_text((marts / "things.yml").read_text())
    (marts / "broken.sql").write_text("select nothing")
    broken, loaded = output_of("load", exit_code=2)["marts"]
    assert 'column "nothing" does not exist' in broken["error"]["message"]
    assert loaded["inserted"] == 1


def assert_refused(result: Result, exit_code: int, message: str) -> None:
    assert result.exit_code == exit_code
    assert message in result.stderr
    assert "hint:" in result.stderr
    assert "Traceback" not in result.output
    assert result.stdout == ""


@pytest.mark.usefixtures("marts")
def test_what_is_wrong_with_the_command_line_is_exit_code_2(connection: Connection) -> None:
    set_things(connection, {"a": ("x", 1)})
    assert_refused(run("load", "nothing"), 2, "nothing.yml and nothing.sql missing")
    assert_refused(run("load", "--as-of", "yesterday"), 2, "'yesterday' is not a time")
    assert_refused(run("as-of", "things", "2026-01-01"), 2, "has not been loaded yet")
    assert_refused(run("load", "--directory", "/nowhere"), 2, "no mart in /nowhere")
    assert run("load", "--as-of", "2026-01-02").exit_code == 0
    assert_refused(run("load", "--as-of", "2026-01-01"), 2, "was already loaded as of 2026-01-02")


@pytest.mark.usefixtures("marts")
def test_an_unknown_time_zone_is_exit_code_2(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    set_things(connection, {"a": ("x", 1)})
    monkeypatch.setenv("MART_TIMEZONE", "Europe/Muscovy")
    assert_refused(run("load"), 2, "Europe/Muscovy")


@pytest.mark.usefixtures("marts")
def test_a_server_that_is_away_is_exit_code_3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_POSTGRES_DSN", "postgresql://loader:topsecret@127.0.0.1:1/destination")
    for command in (["load"], ["diff", "things"], ["as-of", "things", "2026-01-01"]):
        result = run(*command)
        assert_refused(result, 3, "PostgreSQL cannot be reached: 127.0.0.1:1 refuses the connection")
        assert "topsecret" not in result.output


@pytest.mark.usefixtures("marts")
def test_a_connection_string_is_needed_and_may_be_in_a_file(
    connection: Connection, dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_things(connection, {"a": ("x", 1)})
    secret = tmp_path / "dsn"
    monkeypatch.setenv("WAREHOUSE_POSTGRES_DSN_FILE", str(secret))
    assert_refused(run("load"), 2, "both WAREHOUSE_POSTGRES_DSN and WAREHOUSE_POSTGRES_DSN_FILE are set")
    monkeypatch.delenv("WAREHOUSE_POSTGRES_DSN")
    assert_refused(run("load"), 2, "WAREHOUSE_POSTGRES_DSN_FILE cannot be read: FileNotFoundError")
    secret.write_text("\n")
    assert_refused(run("load"), 2, "WAREHOUSE_POSTGRES_DSN_FILE is empty")
    secret.write_text(f"{dsn}\n")
    assert run("load").exit_code == 0
    monkeypatch.delenv("WAREHOUSE_POSTGRES_DSN_FILE")
    assert_refused(run("load"), 2, "WAREHOUSE_POSTGRES_DSN is not set")


ODD = "shop:book:1 [red]\x1b[2J\u202e\x9b5m\U0001f4d6 Заказ"


@pytest.mark.usefixtures("marts")
def test_json_is_exact_and_complete_and_moves_no_terminal(connection: Connection) -> None:
    rows: dict[str, tuple[str | None, int | None]] = {f"{ODD}{number}": (ODD, 1) for number in range(33)}
    set_things(connection, rows)
    raw = run("diff", "--json").stdout
    assert not set("\x1b\u202e\x9b") & set(raw)
    assert "shop:book:1" in raw
    changes = json.loads(raw)["marts"][0]["changes"]
    assert {change["key"][0] for change in changes} == set(rows)
    assert run("load").exit_code == 0
    found = output_of("as-of", "things", "2126-01-01")
    assert (found["total"], {row["id"] for row in found["rows"]}) == (33, set(rows))
    assert len(output_of("as-of", "things", "2126-01-01", "--limit", "5")["rows"]) == 5


@pytest.mark.usefixtures("marts")
def test_people_are_told_how_many_rows_they_do_not_see_and_read_them_at_80_columns(connection: Connection) -> None:
    set_things(connection, {f"{ODD}{number}": (ODD * 5, 1) for number in range(33)})
    assert "the first 20 of 33 changes" in run("diff").stdout
    assert run("load").exit_code == 0
    result = CliRunner().invoke(main, ["marts", "as-of", "things", "2126-01-01"], env={"COLUMNS": "80"})
    assert "the first 20 of 33 rows; --limit shows more" in result.stdout
    assert not set("\x1b\u202e\x9b") & set(result.stdout)
    assert "shop:book:1 [red]" in result.stdout
    assert "33 rows" in run("as-of", "things", "2126-01-01", "--limit", "0").stdout


def test_values_keep_their_digits_and_times_their_years(connection: Connection, marts: Path) -> None:
    connection.execute("create table things (id text)")
    connection.execute("insert into things values ('a')")
    columns = {"far": "timestamptz", "early": "timestamptz", "exact": "numeric", "odd": "numeric", "json": "jsonb"}
    described = [{"name": name, "type": kind, "description": "Odd."} for name, kind in columns.items()]
    definition = DEFINITION | {"columns": [{"name": "id", "type": "text", "description": "Key."}, *described]}
    (marts / "things.yml").write_text(json.dumps(definition))
    (marts / "things.sql").write_text(
        "select id, timestamptz '294276-12-31 23:59:59+00' as far, timestamptz '4714-11-24 00:00:00+00 BC' as early,"
        " 12345678901234567890.0123456789012345678901234567890 as exact, 'NaN'::numeric as odd,"
        """ '{"a": 0.1000000000000000055511151231257827}'::jsonb as json from things"""
    )
    raw = run("diff", "--json").stdout
    assert "12345678901234567890.0123456789012345678901234567890" in raw
    assert "0.1000000000000000055511151231257827" in raw
    changes = json.loads(raw)["marts"][0]["changes"][0]["columns"]
    assert changes["odd"]["then"] == "NaN"
    assert run("load").exit_code == 0
    for shown in (run("as-of", "things", "2126-01-01").stdout, run("as-of", "things", "2126-01-01", "--json").stdout):
        assert "294276-12-31 23:59:59+00" in shown
        assert "4714-11-24 00:00:00+00 BC" in shown
        assert "12345678901234567890.0123456789012345678901234567890" in shown


@pytest.mark.usefixtures("marts")
def test_status_shows_the_last_load_of_each_mart(connection: Connection) -> None:
    set_things(connection, {"a": ("x", 1)})
    assert "never loaded" in run("status").stdout
    assert output_of("status") == {"marts": [{"mart": "things", "as_of": None}]}
    assert run("load", "--as-of", "2026-01-01").exit_code == 0
    (status,) = output_of("status")["marts"]
    assert (status["as_of"], status["source_time"], status["rows"]) == ("2026-01-01T00:00:00+00:00", None, 1)
    assert (status["checks"], status["accepted"], status["warnings"]) == (3, [], [])
    shown = CliRunner().invoke(main, ["marts", "status"], env={"COLUMNS": "80"}).stdout
    assert "2026-01-01T00:00:00Z" in shown
    assert max(map(len, shown.splitlines())) <= 160


@pytest.mark.usefixtures("marts")
def test_undo_takes_back_and_accept_lets_through(connection: Connection, marts: Path) -> None:
    (marts / "things.yml").write_text(json.dumps(DEFINITION | {"checks": [{"mass_close": {"max_share": 0.5}}]}))
    set_things(connection, {"a": ("x", 1)})
    assert run("load", "--as-of", "2026-01-01").exit_code == 0
    set_things(connection, {})
    assert run("load").exit_code == 1
    assert_refused(run("load", "--accept", "mass_closed"), 2, "'mass_closed' is no check that can be accepted")
    loaded = output_of("load", "--accept", "mass_close")["marts"][0]
    assert (loaded["closed"], loaded["accepted"]) == (1, ["mass_close(0.5)"])
    undone = output_of("undo", "things")
    assert (undone["removed"], undone["reopened"], undone["last"]) == (0, 1, "2026-01-01T00:00:00+00:00")
    assert versions(connection) == [("a", "x", 1, 1, None)]
    assert "no load is left" in run("undo", "things").stdout
    assert_refused(run("undo", "things"), 2, "no load that could be taken back")


@pytest.mark.usefixtures("marts")
def test_an_unknown_variable_is_named_with_the_one_that_was_meant(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_things(connection, {"a": ("x", 1)})
    monkeypatch.setenv("MART_TIMEZON", "Europe/Moscow")
    assert "MART_TIMEZON is not a setting; did you mean MART_TIMEZONE?" in run("load").stderr
    monkeypatch.setenv("MART_MAX_LAG", "soon")
    result = run("load")
    assert result.exit_code == 2
    assert "MART_MAX_LAG is no duration" in result.stderr


def test_a_refused_login_names_what_to_correct_and_is_not_tried_again(connection: Connection, dsn: str) -> None:
    role = f"known_of_{connection.info.dbname}"
    for address in (login_as(dsn, role), make_conninfo(dsn, dbname="nowhere")):
        with pytest.raises(LoginRefusedError) as caught:
            load(Address(address, "the connection postgres_conn"), things())
        assert not isinstance(caught.value, ServerError)
        assert "connection failed" not in caught.value.message
        assert "postgres_conn" in caught.value.hint
        assert "WAREHOUSE" not in caught.value.hint
