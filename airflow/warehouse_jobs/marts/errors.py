"""What can go wrong with a mart, with the exit code of the command line.

Every error says the cause in its message and the fix in its hint; neither holds row values or secrets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.core.errors import ReplicatorError

if TYPE_CHECKING:
    from warehouse_jobs.marts.results import LoadResult


class MartError(ReplicatorError):
    """Any error of the marts. A load that raises one has published nothing; a person has to act."""

    exit_code = 2


class SettingsError(MartError):
    """The environment or an option is wrong."""


class DefinitionError(MartError):
    """A mart's ``.yml`` or ``.sql`` is wrong, or does not fit what the database already holds."""


class AsOfRefusedError(MartError):
    """The ``as_of`` that was asked for is older than the last load, or in the future."""


class UndoRefusedError(MartError):
    """There is no load that can be taken back exactly."""


class ChecksFailedError(MartError):
    """A data check failed on the staged rows; ``result`` says which, and what a load would have done."""

    exit_code = 1

    def __init__(self, message: str, result: LoadResult, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.result = result


class LoginRefusedError(MartError):
    """PostgreSQL answers and does not let us in: trying again changes nothing."""

    exit_code = 3


class ServerError(MartError):
    """PostgreSQL cannot be reached, or gave up: nothing is wrong with the mart, and trying again may help."""

    exit_code = 3


class SourceNotReadyError(ServerError):
    """A collection that the mart uses is not whole, or too old; later it will be, most often by itself."""

    exit_code = 1
