"""The mapping file on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.core.errors import ConfigurationError
from replicator_service.core.mapping.loader import load_mapping
from replicator_service.core.mapping.model import Mapping

if TYPE_CHECKING:
    from pathlib import Path


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
            hint="Check REPLICATOR_MAPPING and the file's permissions.",
        ) from None
    return load_mapping(content, name=str(path))
