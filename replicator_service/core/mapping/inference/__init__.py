"""From sampled documents to a mapping file that a person goes on to edit.

Documents are folded one by one into a :class:`Shape`, which holds counts and kinds of values, never values
(`shape`, `documents`). A shape becomes tables (`proposal`, with `choice` for types and `names` for
columns), and the tables a commented file (`notes`, `comments`, `yaml_text`, `file`).

Which value fits which column is asked of the codec itself, so what inference calls lossless is lossless:
every sampled value lies in its column as it is, and what no column takes is named in a comment.
"""

from replicator_service.core.mapping.inference.documents import fold
from replicator_service.core.mapping.inference.file import Origin, render_file
from replicator_service.core.mapping.inference.proposal import (
    Proposal,
    ProposedCollection,
    Sampled,
    Skipped,
    propose,
)
from replicator_service.core.mapping.inference.shape import Shape, merged

__all__ = [
    "Origin",
    "Proposal",
    "ProposedCollection",
    "Sampled",
    "Shape",
    "Skipped",
    "fold",
    "merged",
    "propose",
    "render_file",
]
