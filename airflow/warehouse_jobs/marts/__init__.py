"""Data marts with history: a select and a definition in, versions of rows out (SCD type 2). Knows no Airflow.

``load`` publishes a mart, ``undo`` takes its last load back, ``diff`` tells what a load would do, ``as_of`` reads what
was valid at a time, ``statuses`` are the last loads, ``install`` puts the marts on the ``search_path``.
docs/reference/marts.md describes the definitions, the rules and the tables.
"""

from warehouse_jobs.marts.address import Address
from warehouse_jobs.marts.checks import require_known
from warehouse_jobs.marts.definition import Mart, MartColumn
from warehouse_jobs.marts.definition_file import DEFAULT_DIRECTORY, mart_names, parse_mart, read_mart
from warehouse_jobs.marts.errors import (
    AsOfRefusedError,
    ChecksFailedError,
    DefinitionError,
    LoginRefusedError,
    MartError,
    ServerError,
    SettingsError,
    SourceNotReadyError,
    UndoRefusedError,
)
from warehouse_jobs.marts.install import install
from warehouse_jobs.marts.loader import diff, load
from warehouse_jobs.marts.reading import as_of, statuses
from warehouse_jobs.marts.results import (
    Change,
    ChangeKind,
    CheckOutcome,
    CheckResult,
    DiffResult,
    InstallResult,
    LoadResult,
    MartStatus,
    UndoResult,
    ValidRows,
)
from warehouse_jobs.marts.settings import MartSettings, read_settings
from warehouse_jobs.marts.undo import undo

__all__ = [
    "DEFAULT_DIRECTORY",
    "Address",
    "AsOfRefusedError",
    "Change",
    "ChangeKind",
    "CheckOutcome",
    "CheckResult",
    "ChecksFailedError",
    "DefinitionError",
    "DiffResult",
    "InstallResult",
    "LoadResult",
    "LoginRefusedError",
    "Mart",
    "MartColumn",
    "MartError",
    "MartSettings",
    "MartStatus",
    "ServerError",
    "SettingsError",
    "SourceNotReadyError",
    "UndoRefusedError",
    "UndoResult",
    "ValidRows",
    "as_of",
    "diff",
    "install",
    "load",
    "mart_names",
    "parse_mart",
    "read_mart",
    "read_settings",
    "require_known",
    "statuses",
    "undo",
]
