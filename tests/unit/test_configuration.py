"""What is wrong with settings, mapping, key and addresses is told in one list, before any server is asked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from replicator_service.cli.application import application
from replicator_service.configuration.configuration import load_configuration, read_configuration
from replicator_service.core.errors import ConfigurationError
from replicator_service.core.mapping.problems import MappingError

if TYPE_CHECKING:
    from pathlib import Path

COMPLETE = {"REPLICATOR_MONGO_URI": "mongodb://h/shop", "REPLICATOR_POSTGRES_DSN": "postgresql://h/d"}
WRONG_MAPPING = "version: 1\ncollections:\n  Orders:\n    tabel: orders\n    columns: {total: numerc}\n"
MASKED = "version: 1\ncollections:\n  Orders:\n    mask: {email: hmac}\n"


@pytest.fixture
def mapping(tmp_path: Path) -> Path:
    return tmp_path / "mapping.yml"


@pytest.fixture
def several(mapping: Path) -> dict[str, str]:
    """Wrong in five ways, none of which hides another."""
    mapping.write_text(WRONG_MAPPING)
    return {
        "REPLICATOR_MONGO_URI": "mongodb://h/shop?replicasett=rs0",
        "REPLICATOR_POSTGRES_DSN": "postgresql://h/d?sslmod=prefer",
        "REPLICATOR_HTTP_PORT": "http",
        "REPLICATOR_MASK_KEY": "short",
        "REPLICATOR_MAPPING": str(mapping),
    }


TOLD = (
    "replicasett",
    "PostgreSQL connection",
    "HTTP_PORT is wrong",
    "MASK_KEY has fewer",
    "2 problems",
    "did you mean",
)


def test_all_that_is_wrong_is_told_at_once(several: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(several)
    assert len(caught.value.parts) == 5
    assert [words for words in TOLD if words not in caught.value.message] == []


def test_a_mapping_that_is_wrong_alone_stays_an_error_of_the_mapping(mapping: Path) -> None:
    mapping.write_text(WRONG_MAPPING)
    with pytest.raises(MappingError):
        load_configuration({**COMPLETE, "REPLICATOR_MAPPING": str(mapping)})


def test_what_comes_from_the_command_line_is_judged_like_the_environment(mapping: Path) -> None:
    mapping.write_text(WRONG_MAPPING)
    found = read_configuration(COMPLETE, mapping=mapping, postgres_dsn="postgresql://h/d?sslmod=prefer", mask_key=None)
    assert set(found.raw.problems) == {"mapping", "postgres_dsn"}
    assert found.mapping is None


def test_a_key_that_the_mapping_needs_is_missed(mapping: Path) -> None:
    mapping.write_text(MASKED)
    found = read_configuration({**COMPLETE, "REPLICATOR_MAPPING": str(mapping)})
    assert "there is no key" in found.raw.problems["mask_key"].message


def test_an_address_that_has_to_be_looked_up_is_not(mapping: Path) -> None:
    mapping.write_text(MASKED)
    settings, _ = load_configuration({**COMPLETE, "REPLICATOR_MONGO_URI": "mongodb+srv://no.such.name.invalid/shop"})
    assert settings.mongo_database == "shop"


@pytest.mark.parametrize("command", [("run",), ("check",), ("reconcile",), ("config", "show")])
def test_every_command_that_starts_from_all_of_it_tells_all_of_it(
    command: tuple[str, ...], several: dict[str, str]
) -> None:
    told = CliRunner().invoke(application, command, env=several)
    assert told.exit_code == 2
    words = " ".join(told.output.split())
    assert [each for each in TOLD if each not in words] == []


def test_the_settings_are_shown_as_wrong_when_the_mapping_is(mapping: Path) -> None:
    mapping.write_text(WRONG_MAPPING)
    told = CliRunner().invoke(
        application, ("config", "show", "--json"), env={**COMPLETE, "REPLICATOR_MAPPING": str(mapping)}
    )
    assert told.exit_code == 2
    assert "2 problems" in json.loads(told.stdout)["REPLICATOR_MAPPING"]["problem"]


def test_each_problem_of_a_mapping_has_a_line_of_its_own(several: dict[str, str]) -> None:
    told = CliRunner().invoke(application, ("check",), env=several)
    assert "\\n" not in told.output
    assert len([line for line in told.output.splitlines() if line.startswith("    line ")]) == 2
