"""The command line: what is wrong is said once, with the way out, and never with a secret or a stack trace."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner, Result

from replicator_service.cli.application import application

if TYPE_CHECKING:
    from pathlib import Path

WORD = "geh/eim"
NOWHERE = {
    "REPLICATOR_MONGO_URI": "mongodb://127.0.0.1:9/data?serverSelectionTimeoutMS=200",
    "REPLICATOR_POSTGRES_DSN": f"postgresql://u:{WORD.replace('/', '%2F')}@127.0.0.1:9/d",
    "REPLICATOR_HTTP_PORT": "9",
}


def replicator(*arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(application, list(arguments), env={"COLUMNS": "200", **environ})


def error(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.stdout)["error"]
    return found


def test_the_version_is_told() -> None:
    result = replicator("--version")
    assert result.exit_code == 0
    assert result.stdout.startswith("replicator ")


@pytest.mark.parametrize(
    "command",
    [
        ["run"],
        ["status"],
        ["resync", "--all"],
        ["pause"],
        ["resume"],
        ["dead-letters", "list"],
        ["dead-letters", "drop", "1"],
        ["config", "show"],
    ],
)
def test_missing_settings_end_every_command_with_exit_code_2(command: list[str]) -> None:
    # Port 9: a service of somebody else's may listen on the usual one.
    result = replicator(*command, REPLICATOR_HTTP_PORT="9")
    assert result.exit_code == 2
    told = result.stderr.splitlines()
    for name, option in (("MONGO_URI", "--from mongodb://"), ("POSTGRES_DSN", "--to postgresql://")):
        at = told.index(f"error: REPLICATOR_{name} is missing")
        assert told[at + 1].startswith(f"hint:  Give {option}")
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["dead-letters", "retry"], "no dead letters are chosen"),
        (["dead-letters", "drop", "1", "--all"], "the dead letters are chosen in several ways"),
        (["snapshot", "pace", "--reset", "--workers", "3"], "--reset and a pace exclude each other"),
        (["resync", "Orders", "--all"], "name one collection, or give --all"),
    ],
)
def test_a_command_line_that_cannot_be_meant_is_refused_before_any_server_is_asked(words: list[str], told: str) -> None:
    result = replicator(*words, **NOWHERE)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {told}\nhint:  ")


def test_check_reports_missing_settings_as_a_failed_check() -> None:
    result = replicator("check", "--json")
    assert result.exit_code == 2
    found = json.loads(result.stdout)["checks"]
    assert {(each["name"], each["level"]) for each in found} == {("settings", "fail")}
    assert [each["cause"].split()[0] for each in found] == ["REPLICATOR_MONGO_URI", "REPLICATOR_POSTGRES_DSN"]


def test_errors_are_json_when_json_was_asked_for() -> None:
    result = replicator("pause", "--json")
    assert error(result)["class"] == "ConfigurationError"


@pytest.mark.parametrize("command", [["pause"], ["resume"], ["resync", "--all"], ["dead-letters", "list"], ["status"]])
def test_a_server_that_is_away_ends_a_command_with_exit_code_3(command: list[str]) -> None:
    result = replicator(*command, "--json", **NOWHERE)
    assert result.exit_code == 3
    assert "PostgreSQL cannot be reached" in error(result)["message"]


def test_a_malformed_address_is_explained_without_its_password() -> None:
    environ = {**NOWHERE, "REPLICATOR_MONGO_URI": f"mongodb://admin:{WORD}@host:27017/"}
    result = replicator("check", **environ)
    assert result.exit_code == 2
    assert "percent-encoded" in result.stdout
    assert "eim" not in result.output


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_password_in_an_address_on_the_command_line_is_not_repeated(form: list[str]) -> None:
    result = replicator("status", "--url", "http://admin:geheim@127.0.0.1:9/", *form)
    assert result.exit_code == 3
    assert "127.0.0.1:9" in result.output
    assert "geheim" not in result.output


def test_check_goes_on_after_a_failure_and_says_what_it_could_not_ask() -> None:
    result = replicator("check", "--json", **NOWHERE)
    assert result.exit_code == 3
    levels = {found["name"]: found["level"] for found in json.loads(result.stdout)["checks"]}
    assert levels["mongodb reachable"] == "fail"
    assert levels["postgresql reachable"] == "fail"
    assert levels["privilege find"] == "skip"
    assert len(levels) >= 30


def test_a_mapping_that_is_not_there_ends_run_with_exit_code_2() -> None:
    result = replicator("run", **NOWHERE, REPLICATOR_MAPPING="/nowhere/mapping.yml")
    assert result.exit_code == 2
    assert "/nowhere/mapping.yml cannot be read" in result.stderr


def test_config_show_masks_secrets_and_tells_origins() -> None:
    result = replicator("config", "show", "--json", **NOWHERE)
    shown = json.loads(result.stdout)
    assert shown["REPLICATOR_POSTGRES_DSN"]["value"] == "postgresql://u:***@127.0.0.1:9/d"
    assert shown["REPLICATOR_POSTGRES_DSN"]["from"] == "environment"
    assert shown["REPLICATOR_BATCH_MAX_MS"]["from"] == "default"


def test_config_show_marks_what_is_missing_and_what_is_wrong_among_all_the_others() -> None:
    environ = {"REPLICATOR_MONGO_URI": "mongodb://u:hidden@h/data", "REPLICATOR_HTTP_PORT": "http"}
    result = replicator("config", "show", **environ)
    assert result.exit_code == 2
    lines = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines()}
    assert lines["REPLICATOR_POSTGRES_DSN"] == ["is", "missing"]
    assert lines["REPLICATOR_HTTP_PORT"] == ["is", "wrong", "environment"]
    assert lines["REPLICATOR_MONGO_DATABASE"] == ["data", "address"]
    assert lines["REPLICATOR_MONGO_URI"] == ["mongodb://u:***@h/data", "environment"]
    assert "REPLICATOR_POSTGRES_DSN is missing" in result.stderr
    problems = {
        name: each["problem"] for name, each in json.loads(replicator("config", "show", "--json").stdout).items()
    }
    assert problems["REPLICATOR_MONGO_URI"] == "REPLICATOR_MONGO_URI is missing"
    assert problems["REPLICATOR_HTTP_PORT"] is None


def test_addresses_may_stand_in_the_command_and_win_over_the_environment(tmp_path: Path) -> None:
    (tmp_path / "dsn").write_text("postgresql://u:filed@h/d")
    environ = {"REPLICATOR_MONGO_URI": "mongodb://other/other", "REPLICATOR_POSTGRES_DSN_FILE": str(tmp_path / "dsn")}
    words = ["--from", "mongodb://u:hidden@h/data", "--to", "postgresql://u:hidden@h/d", "--mapping", "m.yml", "--json"]
    shown = json.loads(replicator("config", "show", *words, **environ).stdout)
    assert {name: each["value"] for name, each in shown.items() if "hidden" in str(each) or "***" in str(each)} == {
        "REPLICATOR_MONGO_URI": "mongodb://u:***@h/data",
        "REPLICATOR_POSTGRES_DSN": "postgresql://u:***@h/d",
    }
    assert shown["REPLICATOR_MONGO_DATABASE"]["value"] == "data"
    assert shown["REPLICATOR_MAPPING"]["value"] == "m.yml"
    # Nothing of it is left for whoever uses this process next.
    assert "REPLICATOR_MAPPING" not in os.environ


def test_what_a_command_was_given_is_kept_out_of_its_errors() -> None:
    words = ["--from", "mongodb://u:hidden-one@127.0.0.1:9/data", "--to", "postgresql://u:hidden-two@127.0.0.1:9/d"]
    result = replicator("check", *words)
    assert result.exit_code == 3
    assert "hidden" not in result.output


@pytest.mark.parametrize("command", ["check", "ddl"])
def test_commands_about_the_mapping_take_the_file_of_the_settings(command: str, tmp_path: Path) -> None:
    file = tmp_path / "mapping.yml"
    file.write_text("version: 1\ncollections:\n  Things:\n    columns: {a: text}\n")
    result = replicator("mapping", command, REPLICATOR_MAPPING=str(file), REPLICATOR_MONGO_DATABASE="data")
    assert result.exit_code == 0, result.output
    assert ("no problems" if command == "check" else 'create table if not exists "data"."things"') in result.stdout


def test_ddl_guesses_no_schema(tmp_path: Path) -> None:
    file = tmp_path / "mapping.yml"
    file.write_text("version: 1")
    result = replicator("mapping", "ddl", str(file))
    assert result.exit_code == 2
    assert "--database NAME" in result.stderr


def test_resync_wants_one_collection_or_all() -> None:
    for arguments in (["resync"], ["resync", "Orders", "--all"]):
        result = replicator(*arguments, **NOWHERE)
        assert result.exit_code == 2
        assert "--all" in result.stderr


def test_an_unknown_command_is_a_usage_error() -> None:
    assert replicator("replicate").exit_code == 2


def test_mapping_check_lists_every_problem_as_json(tmp_path: Path) -> None:
    file = tmp_path / "mapping.yml"
    file.write_text("version: 2\ncollections:\n  A:\n    colums: {}\n")
    result = replicator("mapping", "check", str(file), "--json")
    assert result.exit_code == 2
    problems = json.loads(result.stdout)["problems"]
    assert len(problems) >= 2
    assert {"line", "column", "path", "message", "fix"} == set(problems[0])


def test_mapping_ddl_prints_sql_for_the_schema_of_the_database(tmp_path: Path) -> None:
    file = tmp_path / "mapping.yml"
    file.write_text("version: 1\ncollections:\n  Orders:\n    columns:\n      total: numeric\n")
    result = replicator("mapping", "ddl", str(file), "--database", "shop")
    assert result.exit_code == 0, result.output
    assert 'create table if not exists "shop"."orders"' in result.stdout


def test_a_fault_of_the_program_is_told_without_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> None:
        raise KeyError("the card number is 4711")

    monkeypatch.setattr("replicator_service.cli.config.read_configuration", fail)
    result = replicator("config", "show")
    assert result.exit_code == 5
    assert "unexpected KeyError" in result.stderr
    assert "4711" not in result.output
    assert "Traceback" not in result.output
