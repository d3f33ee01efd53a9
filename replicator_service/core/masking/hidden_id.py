"""An ``_id`` that is masked: what rows have in its place, and how its document is found again.

A row's key becomes the ``hmac`` of the text that ``_id`` would have had: what MongoDB tells apart stays apart, and what
a ``text`` column would have joined with it still does. Whoever has to ask MongoDB for the document again holds a
*hidden id*: BSON of ``{_id: <the hmac>, "": <the original, sealed>}``. It stands wherever that of ``{_id: ...}`` stands
otherwise (look-ups, places of snapshots, ranges), also where it is stored, and only the door opens it.

The seal is a synthetic initialisation vector (as in RFC 5297) made with HMAC-SHA256, and the key stream that SHAKE256
gives of the key and this vector: the same ``_id`` gives the same bytes, and changed ones are refused.
"""

from __future__ import annotations

import hmac
from hashlib import shake_256
from typing import TYPE_CHECKING

from replicator_service.core.codec.elements import elements, id_document
from replicator_service.core.errors import Fatal

if TYPE_CHECKING:
    from collections.abc import Callable

    from replicator_service.core.masking.key import MaskKey

_BINARY = 0x05
_TAG = 16
_MASKED = b"\x02_id\0\x41\0\0\0"
_SEALED = b"%c\0" % _BINARY
"""What its two elements begin with: a text of 64 hexadecimal digits, and a binary value without a name."""
_HMAC_END = 4 + len(_MASKED) + 64 + 1


class HiddenIds:
    """Hides the ``_id``s of a collection, and opens what it has hidden. ``masked`` gives the BSON of a masked value."""

    __slots__ = ("_masked", "_sealing", "_stream")

    def __init__(self, key: MaskKey, masked: Callable[[int, bytes], tuple[int, bytes]]) -> None:
        self._masked = masked
        self._sealing = hmac.digest(key.secret, b"what binds a sealed _id", "sha256")
        self._stream = hmac.digest(key.secret, b"what hides a sealed _id", "sha256")

    def hidden(self, document: bytes) -> bytes:
        """The hidden id of a document, of which ``_id`` is enough."""
        ((kind, _, value),) = elements(id_document(document))
        masked_kind, masked = self._masked(kind, value)
        plain = bytes([kind]) + value
        tag = hmac.digest(self._sealing, plain, "sha256")[:_TAG]
        sealed = tag + self._hidden_by(tag, plain)
        body = b"%c_id\0%b%b%b\0%b" % (masked_kind, masked, _SEALED, len(sealed).to_bytes(4, "little"), sealed)
        return (len(body) + 5).to_bytes(4, "little") + body + b"\0"

    def opened(self, document: bytes) -> bytes:
        """The BSON of ``{_id: ...}`` as it is in MongoDB.

        Raises :class:`Fatal` for what was not hidden with this key: nothing but that may be looked up.
        """
        if is_hidden(document):
            *_, (_, _, sealed) = elements(document)
            tag = sealed[5 : 5 + _TAG]
            plain = self._hidden_by(tag, sealed[5 + _TAG :])
            if hmac.compare_digest(tag, hmac.digest(self._sealing, plain, "sha256")[:_TAG]):
                return (len(plain) + 9).to_bytes(4, "little") + plain[:1] + b"_id\0" + plain[1:] + b"\0"
        raise Fatal(
            "a place in a collection whose _id is masked was not written with this key",
            hint="Ask for the collection to be read again: 'replicator resync COLLECTION'.",
        )

    def _hidden_by(self, tag: bytes, text: bytes) -> bytes:
        stream = shake_256(self._stream + tag).digest(len(text))
        return (int.from_bytes(text, "little") ^ int.from_bytes(stream, "little")).to_bytes(len(text), "little")


def is_hidden(document: bytes) -> bool:
    """Whether this BSON is a hidden id, rather than ``{_id: ...}``."""
    return document.startswith(_MASKED, 4) and document.startswith(_SEALED, _HMAC_END)
