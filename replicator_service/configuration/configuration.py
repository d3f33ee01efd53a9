"""All that a start goes by, read and judged together: settings, mapping, the key of its masks, the form of addresses.

No server is asked and no name looked up, so whatever is wrong is told at once, and not one problem after the other.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from replicator_service.configuration.mapping_file import read_mapping
from replicator_service.configuration.privacy import door_with, key_in
from replicator_service.configuration.settings import Settings, partial_settings
from replicator_service.core.errors import ConfigurationError
from replicator_service.sink.connect.connection import require_form
from replicator_service.source.connect.address import parse

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Mapping as Environment

    from replicator_service.configuration.environment import RawSettings
    from replicator_service.core.mapping.model import Mapping

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Configuration:
    """What could be read, and by the names of settings what is wrong (``raw.problems``).

    ``settings`` are None when one of them is wrong by itself, ``mapping`` is when its file is.
    """

    raw: RawSettings
    settings: Settings | None
    mapping: Mapping | None


def read_configuration(environ: Environment[str, str] = os.environ, **overrides: object) -> Configuration:
    """Read all that there is, right or wrong; ``overrides`` come from the command line and win. Raises nothing."""
    raw, settings = partial_settings(environ, **overrides)
    problems = dict(raw.problems)

    def tried(name: str, read: Callable[[], T]) -> T | None:
        """What is read, unless the setting is wrong already or turns out to be."""
        if name in problems:
            return None
        try:
            return read()
        except ConfigurationError as error:
            problems[name] = error
            return None

    values = {**raw.values, **{name: str(value) for name, value in overrides.items() if value is not None}}
    tried("mongo_uri", lambda: _judge_mongo(values.get("mongo_uri", "")))
    tried("postgres_dsn", lambda: require_form(values.get("postgres_dsn", "")))
    path = values.get("mapping")
    mapping = tried("mapping", lambda: read_mapping(Path(path) if path else None))
    key = tried("mask_key", lambda: key_in(values.get("mask_key"), environ))
    if mapping is not None:
        tried("mask_key", lambda: door_with(mapping, key))
    return Configuration(replace(raw, problems=problems), settings, mapping)


def load_configuration(environ: Environment[str, str] = os.environ, **overrides: object) -> tuple[Settings, Mapping]:
    """Read settings and mapping.

    Raises :class:`ConfigurationError` with all that is wrong with either, in one list.
    """
    found = read_configuration(environ, **overrides)
    if found.settings is None or found.mapping is None or found.raw.problems:
        raise found.raw.error
    return found.settings, found.mapping


def _judge_mongo(uri: str) -> None:
    """Take the address apart as the driver does; of one that has to be looked up nothing is known before."""
    if uri and not uri.startswith("mongodb+srv:"):
        parse(uri)
