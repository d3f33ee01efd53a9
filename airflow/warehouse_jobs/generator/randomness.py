"""Randomness that depends on a seed and a name alone: not on the process, the order of calls or the hash seed."""

from __future__ import annotations

from random import Random


def random_source(*names: object) -> Random:
    """A generator of its own for these names (``random.seed`` version 2 hashes strings with SHA-512)."""
    return Random("/".join(map(str, names)))  # noqa: S311 - synthetic data has to be reproducible, not secret
