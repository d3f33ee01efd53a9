"""The mapping file on disk, and the JSON Schema by which editors know what may stand in it."""

from __future__ import annotations

from pathlib import Path

from replicator_service.core.errors import ConfigurationError
from replicator_service.core.mapping.loader import load_mapping
from replicator_service.core.mapping.model import Mapping

SCHEMA = "mapping.schema.json"


def read_mapping(path: Path | None) -> Mapping:
    """The mapping in a file; without one, the mapping that makes every collection a document table.

    Raises :class:`ConfigurationError` for a file that cannot be read, :class:`MappingError` for what is wrong in it.
    """
    if path is None:
        return Mapping()
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"the mapping file {path} cannot be read: {error.strerror}",
            hint="Name a file that exists and that this user may read: FILE, --mapping or REPLICATOR_MAPPING.",
        ) from None
    return load_mapping(content, name=str(path))


def schema_text() -> str:
    """The JSON Schema of mapping files, which is in the installed package, or in ``mappings/`` of a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "mappings" / SCHEMA
    return (installed if installed.is_file() else package.parent / "mappings" / SCHEMA).read_text(encoding="utf-8")
