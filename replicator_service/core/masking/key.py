"""The secret key of ``hmac`` masks: equal values give equal texts, and who does not have the key cannot try values."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field

from replicator_service.core.errors import ConfigurationError

MIN_CHARACTERS = 16

_MAKE_ONE = "Make one with: openssl rand -hex 32"


@dataclass(frozen=True, slots=True)
class MaskKey:
    """The key. It is shown nowhere; :attr:`fingerprint` tells one from another."""

    secret: bytes = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """What is kept to notice another key: nothing of the key can be told from it."""
        return hmac.new(self.secret, b"the fingerprint of this key", hashlib.sha256).hexdigest()[:32]


def mask_key(text: str | None) -> MaskKey | None:
    """The key of a setting, or None when there is none.

    Raises :class:`ConfigurationError` for one that is too short to be secret.
    """
    if not text:
        return None
    if len(text) < MIN_CHARACTERS:
        raise ConfigurationError(
            f"REPLICATOR_MASK_KEY has fewer than {MIN_CHARACTERS} characters: it could be guessed", hint=_MAKE_ONE
        )
    return MaskKey(text.encode())


def missing_key(collection: str) -> ConfigurationError:
    """What is raised when rules need a key and none is given."""
    return ConfigurationError(
        f"the mapping masks values of {collection} with hmac, and there is no key",
        hint="Set REPLICATOR_MASK_KEY_FILE to the file that holds the key the rows were written with. For the first "
        f"start: {_MAKE_ONE[0].lower()}{_MAKE_ONE[1:]}",
    )
