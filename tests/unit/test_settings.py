"""Settings: read from the environment, and one clear line about what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from replicator_service.configuration.settings import LogFormat, load_settings, partial_settings, unknown_variables
from replicator_service.core.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

COMPLETE = {"REPLICATOR_MONGO_URI": "mongodb://u:hidden@h/data", "REPLICATOR_POSTGRES_DSN": "postgresql://u:hidden@h/d"}


def test_addresses_are_all_that_has_to_be_set() -> None:
    settings = load_settings(COMPLETE)
    assert (settings.mongo_database, settings.http_host, settings.http_port) == ("data", "127.0.0.1", 8081)


def test_a_secret_may_be_in_a_file_whose_last_line_break_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "dsn").write_text("postgresql://u:from-file@h/d\n")
    environ = {
        "REPLICATOR_MONGO_URI": COMPLETE["REPLICATOR_MONGO_URI"],
        "REPLICATOR_POSTGRES_DSN_FILE": str(tmp_path / "dsn"),
    }
    assert load_settings(environ).postgres_dsn.get_secret_value() == "postgresql://u:from-file@h/d"


def test_a_file_that_is_not_there_is_named_by_its_variable() -> None:
    with pytest.raises(ConfigurationError, match="REPLICATOR_MONGO_URI_FILE"):
        load_settings({"REPLICATOR_MONGO_URI_FILE": "/nowhere/at/all"})


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"", "is empty"), (b" \n", "is empty"), (b"a\nb\n", "more than one line"), (b"\xff\xfea", "not text in UTF-8")],
)
def test_a_file_that_cannot_be_a_value_is_named_by_its_variable(tmp_path: Path, content: bytes, problem: str) -> None:
    (tmp_path / "uri").write_bytes(content)
    with pytest.raises(ConfigurationError, match=f"REPLICATOR_MONGO_URI_FILE .*{problem}"):
        load_settings({"REPLICATOR_MONGO_URI_FILE": str(tmp_path / "uri")})


def test_blanks_and_a_byte_order_mark_around_a_value_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "uri").write_text("\ufeffmongodb://from-file/data\r\n")
    settings = load_settings(
        {"REPLICATOR_MONGO_URI_FILE": str(tmp_path / "uri"), "REPLICATOR_POSTGRES_DSN": " postgresql://h/d "}
    )
    assert settings.mongo_uri.get_secret_value() == "mongodb://from-file/data"
    assert settings.postgres_dsn.get_secret_value() == "postgresql://h/d"


def test_a_value_and_a_file_for_one_setting_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="REPLICATOR_MONGO_URI and REPLICATOR_MONGO_URI_FILE are both set"):
        load_settings({**COMPLETE, "REPLICATOR_MONGO_URI_FILE": "/nowhere"})


def test_a_slip_in_the_name_of_a_missing_setting_is_pointed_at() -> None:
    environ = {**COMPLETE, "REPLICATOR_MONGO_URL": COMPLETE["REPLICATOR_MONGO_URI"]}
    del environ["REPLICATOR_MONGO_URI"]
    with pytest.raises(ConfigurationError, match="MONGO_URI is missing, and REPLICATOR_MONGO_URL is set but unknown"):
        load_settings(environ)


def test_unknown_variables_are_found_with_what_was_probably_meant() -> None:
    environ = {
        **COMPLETE,
        "REPLICATOR_HTTP_PROT": "1",
        "REPLICATOR_MAPPING_FILE": "f",
        "REPLICATOR_ZZZ": "",
        "PATH": "",
    }
    assert unknown_variables(environ) == {"REPLICATOR_HTTP_PROT": "REPLICATOR_HTTP_PORT", "REPLICATOR_ZZZ": None}


def test_everything_that_is_wrong_is_named_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings({"REPLICATOR_MONGO_URI": "mongodb://u:hid@den@h/", "REPLICATOR_HTTP_PORT": "x"})
    message = caught.value.message
    assert "REPLICATOR_MONGO_URI is wrong" in message
    assert "REPLICATOR_POSTGRES_DSN is missing" in message
    assert "REPLICATOR_HTTP_PORT is wrong" in message
    assert "%40" in caught.value.hint
    assert "den" not in message


def test_every_missing_setting_is_named_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings({})
    assert "REPLICATOR_MONGO_URI is missing" in caught.value.message
    assert "REPLICATOR_POSTGRES_DSN is missing" in caught.value.message


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("REPLICATOR_HTTP_PORT", "70000"),
        ("REPLICATOR_HTTP_PORT", "http"),
        ("REPLICATOR_BATCH_MAX_EVENTS", "0"),
        ("REPLICATOR_ON_HISTORY_LOST", "forget"),
        ("REPLICATOR_LOG_LEVEL", "chatty"),
        ("REPLICATOR_MONGO_DATABASE", "x" * 64),
    ],
)
def test_a_wrong_value_is_named_by_its_variable_and_not_quoted(variable: str, value: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings({**COMPLETE, variable: value})
    assert f"{variable} is wrong" in caught.value.message
    assert "hidden" not in caught.value.message


def test_an_empty_variable_counts_as_not_set() -> None:
    assert load_settings({**COMPLETE, "REPLICATOR_MAPPING": "", "REPLICATOR_HTTP_PORT": ""}).mapping is None


def test_nothing_is_read_from_anywhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLICATOR_HTTP_PORT", "")
    monkeypatch.setenv("REPLICATOR_MONGO_DATABASE", "other")
    settings = load_settings(COMPLETE)
    assert (settings.http_port, settings.mongo_database) == (8081, "data")


def test_the_command_line_wins_over_the_environment() -> None:
    settings = load_settings({**COMPLETE, "REPLICATOR_HTTP_PORT": "9000"}, http_port=0, log_format=LogFormat.JSON)
    assert (settings.http_port, settings.log_format) == (0, LogFormat.JSON)


def test_secrets_do_not_show_when_settings_are_printed() -> None:
    assert "hidden" not in repr(load_settings(COMPLETE))


@pytest.mark.parametrize(
    ("uri", "database"),
    [
        ("mongodb://h/shop", "shop"),
        ("mongodb://u:p%40@h1:27017,h2/my%20shop?replicaSet=rs0", "my shop"),
        ("mongodb+srv://u:p@cluster.example/shop?retryWrites=true", "shop"),
        ("mongodb://u:p@h/shop.orders", "shop"),
    ],
)
def test_the_address_names_the_database(uri: str, database: str) -> None:
    assert load_settings({**COMPLETE, "REPLICATOR_MONGO_URI": uri}).mongo_database == database


@pytest.mark.parametrize("uri", ["mongodb://h", "mongodb://h/", "mongodb://h/?replicaSet=rs0", "mongodb://u:p@h/admin"])
def test_no_database_is_guessed(uri: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings({**COMPLETE, "REPLICATOR_MONGO_URI": uri})
    assert caught.value.message == "REPLICATOR_MONGO_DATABASE is missing"
    assert "mongodb://HOST/DATABASE" in caught.value.hint


def test_a_database_that_is_named_wins_over_that_of_the_address() -> None:
    assert load_settings({**COMPLETE, "REPLICATOR_MONGO_DATABASE": "other"}).mongo_database == "other"


def test_what_is_missing_says_what_to_write() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings({})
    assert caught.value.message == "REPLICATOR_MONGO_URI is missing; REPLICATOR_POSTGRES_DSN is missing"
    assert "--from mongodb://" in caught.value.hint
    assert "--to postgresql://" in caught.value.hint


def test_files_and_values_that_are_wrong_are_named_together() -> None:
    environ = {"REPLICATOR_MONGO_URI_FILE": "/nowhere", "REPLICATOR_POSTGRES_DSN": "x", "REPLICATOR_HTTP_PORT": "http"}
    with pytest.raises(ConfigurationError) as caught:
        load_settings(environ)
    for variable in ("REPLICATOR_MONGO_URI_FILE", "REPLICATOR_POSTGRES_DSN", "REPLICATOR_HTTP_PORT"):
        assert variable in caught.value.message


def test_settings_are_read_however_many_are_missing() -> None:
    environ = {"REPLICATOR_MONGO_URI": "mongodb://u:hidden@h/data", "REPLICATOR_HTTP_PORT": "9000"}
    raw, settings = partial_settings(environ)
    assert settings is None
    assert raw.values["mongo_database"] == "data"
    assert raw.origins == {"mongo_uri": "environment", "http_port": "environment", "mongo_database": "address"}
    assert {name: each.message for name, each in raw.problems.items()} == {
        "postgres_dsn": "REPLICATOR_POSTGRES_DSN is missing"
    }


def test_each_wrong_value_says_in_words_what_is_wrong_and_what_may_stand_there() -> None:
    wrong = {
        "HTTP_PORT": ("70000", "is no number from 0 to 65535"),
        "BATCH_MAX_EVENTS": ("many", "is no whole number"),
        "BATCH_MAX_MS": ("0", "is less than 1"),
        "LEASE_SECONDS": ("long", "is no number"),
        "SNAPSHOT_MAX_MB_S": ("0", "is not more than 0.0"),
        "ON_HISTORY_LOST": ("forget", "is not 'resync' or 'stop'"),
        "ACCEPT_INEXACT": ("perhaps", "is neither true nor false"),
        "LOG_LEVEL": ("loud", "is not 'debug', 'info', 'warning' or 'error'"),
        "RUNBOOKS_URL": ("wiki", "does not begin with http:// or https://"),
        "MONGO_DATABASE": ("x" * 64, "is longer than 63 bytes"),
    }
    with pytest.raises(ConfigurationError) as caught:
        load_settings({**COMPLETE, **{f"REPLICATOR_{name}": value for name, (value, _) in wrong.items()}})
    told = {each.message.removeprefix("REPLICATOR_"): each.hint for each in caught.value.parts}
    assert told.keys() == {f"{name} is wrong: it {words}" for name, (_, words) in wrong.items()}
    assert all(told.values())
    assert told["LEASE_SECONDS is wrong: it is no number"].endswith("Without it: 30.0.")
