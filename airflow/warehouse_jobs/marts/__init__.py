"""Data marts with history: a select and a definition in, versions of rows out (SCD type 2). Knows no Airflow.

``load`` publishes a mart, ``diff`` tells what a load would do, ``as_of`` reads what was valid at a time,
``install`` puts the marts on the ``search_path``. docs/reference/marts.md describes the definitions, the rules and the
tables.
"""

from warehouse_jobs.marts.definition import Mart, MartColumn
from warehouse_jobs.marts.definition_file import DEFAULT_DIRECTORY, mart_names, parse_mart, read_mart
from warehouse_jobs.marts.errors import (
    AsOfRefusedError,
    ChecksFailedError,
    DefinitionError,
    MartError,
    ServerError,
    SettingsError,
)
from warehouse_jobs.marts.install import install
from warehouse_jobs.marts.loader import as_of, diff, load
from warehouse_jobs.marts.results import (
    Change,
    ChangeKind,
    CheckResult,
    DiffResult,
    InstallResult,
    LoadResult,
    ValidRows,
)
from warehouse_jobs.marts.settings import MartSettings, read_settings

__all__ = [
    "DEFAULT_DIRECTORY",
    "AsOfRefusedError",
    "Change",
    "ChangeKind",
    "CheckResult",
    "ChecksFailedError",
    "DefinitionError",
    "DiffResult",
    "InstallResult",
    "LoadResult",
    "Mart",
    "MartColumn",
    "MartError",
    "MartSettings",
    "ServerError",
    "SettingsError",
    "ValidRows",
    "as_of",
    "diff",
    "install",
    "load",
    "mart_names",
    "parse_mart",
    "read_mart",
    "read_settings",
]
