"""Settings: read from the environment, and one clear line about what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from replicator_service.core.errors import ConfigurationError
from replicator_service.settings import LogFormat, load_settings

if TYPE_CHECKING:
    from pathlib import Path

COMPLETE = {"REPLICATOR_MONGO_URI": "mongodb://u:hidden@h/", "REPLICATOR_POSTGRES_DSN": "postgresql://u:hidden@h/d"}


def test_addresses_are_all_that_has_to_be_set() -> None:
    settings = load_settings(COMPLETE)
    assert (settings.mongo_database, settings.http_host, settings.http_port) == ("origin", "127.0.0.1", 8081)


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


def test_the_command_line_wins_over_the_environment() -> None:
    settings = load_settings({**COMPLETE, "REPLICATOR_HTTP_PORT": "9000"}, http_port=0, log_format=LogFormat.JSON)
    assert (settings.http_port, settings.log_format) == (0, LogFormat.JSON)


def test_secrets_do_not_show_when_settings_are_printed() -> None:
    assert "hidden" not in repr(load_settings(COMPLETE))
