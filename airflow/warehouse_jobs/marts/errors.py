"""What can go wrong with a mart, with the exit code of the command line.

Every error says the cause in its message and the fix in its hint; neither holds row values or secrets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from warehouse_jobs.marts.results import LoadResult


class MartError(Exception):
    """Any error of the marts. A load that raises one has published nothing."""

    exit_code = 2

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class SettingsError(MartError):
    """The environment or an option is wrong."""


class DefinitionError(MartError):
    """A mart's ``.yml`` or ``.sql`` is wrong, or does not fit what the database already holds."""


class AsOfRefusedError(MartError):
    """The mart was already loaded with a later ``as_of``."""


class ChecksFailedError(MartError):
    """A data check failed on the staged rows; ``result`` says which, and what a load would have done."""

    exit_code = 1

    def __init__(self, message: str, result: LoadResult, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.result = result


class ServerError(MartError):
    """PostgreSQL cannot be reached, refused the login, or gave up: nothing is wrong with the mart."""

    exit_code = 3
