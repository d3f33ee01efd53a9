"""What can go wrong with a generation, with the exit code of the command line.

Every error says the cause in its message and the fix in its hint; neither holds a password.
"""

from __future__ import annotations

from replicator_service.core.errors import ReplicatorError


class GeneratorError(ReplicatorError):
    """Any error of the generator. What was written before it stays, and the same command completes it."""

    exit_code = 2


class ParametersError(GeneratorError):
    """A parameter, an option or the interval is wrong."""


class SourceError(GeneratorError):
    """MongoDB cannot be reached, refused the login or the write, or gave up."""

    exit_code = 3


class RefusedError(SourceError):
    """MongoDB refused the login or the write: only a person can change that."""
