"""Documents into the rows that the service would write, for those who compare with it or race against it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replicator_service.core.replies import Reply
    from replicator_service.core.transform import Transform


def append_rows(transform: Transform, reply: Reply, valid_from: str, lines: Sequence[list[str]]) -> list[str]:
    """Append the lines of every document of a reply, by table, and give the documents' keys."""
    return [
        transform.write_exact(reply.raw(index), valid_from, lines)
        if reply.needs_exact(index)
        else transform.write(document, partial(reply.raw, index), valid_from, lines)
        for index, document in enumerate(reply.documents)
    ]
