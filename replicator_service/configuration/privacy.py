"""The door of a process: the mapping's rules with the key of the settings."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from replicator_service.configuration.environment import PREFIX
from replicator_service.configuration.mapping_file import read_mapping
from replicator_service.core.compiled import native
from replicator_service.core.errors import ConfigurationError
from replicator_service.core.masking.door import Door
from replicator_service.core.masking.key import MaskKey, mask_key

if TYPE_CHECKING:
    from collections.abc import Mapping as Environment

    from replicator_service.configuration.settings import Settings
    from replicator_service.core.mapping.model import Mapping

KEY_FILE = PREFIX + "MASK_KEY_FILE"


def door_of(settings: Settings, mapping: Mapping | None = None) -> Door:
    """What lets documents through under this mapping, or that of the settings.

    Raises :class:`ConfigurationError` when a rule needs a key and there is none, or the key can be guessed or read.
    """
    return door_with(read_mapping(settings.mapping) if mapping is None else mapping, _key_of(settings))


def door_with(mapping: Mapping, key: MaskKey | None) -> Door:
    """What lets documents through under this mapping with this key.

    Raises :class:`ConfigurationError` when a rule needs a key and there is none.
    """
    return Door(mapping.selection, mapping.rules, key, compiled=native())


def key_in(text: str | None, environ: Environment[str, str] = os.environ) -> MaskKey | None:
    """The key for ``hmac`` masks, of the value of its setting.

    Raises :class:`ConfigurationError` for one that is too short, or in a file that everybody on this machine can read.
    """
    key = mask_key(text)
    path = environ.get(KEY_FILE, "")
    if key is not None and path and Path(path).stat().st_mode & stat.S_IROTH:
        raise ConfigurationError(
            f"the file named by {KEY_FILE} can be read by every user of this machine",
            hint=f"Run: chmod o-rwx {path}",
        )
    return key


def key_fingerprint(settings: Settings, mapping: Mapping) -> str | None:
    """What tells this key from another, or None when no rule needs one."""
    key = _key_of(settings) if any(rules.needs_key for rules in mapping.rules.values()) else None
    return None if key is None else key.fingerprint


def _key_of(settings: Settings) -> MaskKey | None:
    return key_in(settings.mask_key.get_secret_value() if settings.mask_key is not None else None)
