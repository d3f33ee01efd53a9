"""Reads a mart from its ``.yml`` and ``.sql``, and says everything that is wrong with them at once.

A mart ``NAME`` is the files ``NAME.yml`` and ``NAME.sql`` of one directory. The format is described in
docs/reference/marts.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from warehouse_jobs.marts.check_file import CheckReader
from warehouse_jobs.marts.definition import COLUMN_TYPES, VALID_FROM, VALID_TO, Mart, MartColumn
from warehouse_jobs.marts.errors import DefinitionError
from warehouse_jobs.marts.incremental_file import IncrementalReader

# Inside an installed package, or at the top of a checkout.
_PACKAGE = Path(__file__).resolve().parents[1]
_INSTALLED = _PACKAGE / "sql" / "marts"
DEFAULT_DIRECTORY = _INSTALLED if _INSTALLED.is_dir() else _PACKAGE.parents[1] / "sql" / "marts"

# PostgreSQL cuts identifiers at 63 bytes, silently; the longest name made from a mart's is
# NAME_history_current_key.
_MART_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_COLUMN_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_FIELDS = {"description", "key", "columns", "checks", "children", "incremental"}
_COLUMN_FIELDS = {"name", "type", "description", "tracked", "from"}
_SOURCE = re.compile(r"[^.\s]+\.[^.\s]+")


def mart_names(directory: Path = DEFAULT_DIRECTORY) -> tuple[str, ...]:
    """Name the marts of a directory in order; raises DefinitionError when there are none."""
    names = tuple(sorted(path.stem for path in directory.glob("*.yml")))
    if not names:
        raise DefinitionError(
            f"no mart in {directory}",
            hint="Give the directory of the NAME.yml and NAME.sql files (MART_DIRECTORY).",
        )
    return names


def read_mart(name: str, directory: Path = DEFAULT_DIRECTORY) -> Mart:
    """Read the mart of this name; raises DefinitionError with every fault of its files."""
    if not _MART_NAME.fullmatch(name):
        raise DefinitionError(
            f"{name!r} is no name for a mart",
            hint="Use lower-case letters, digits and underscores, 40 at most.",
        )
    definition, select = directory / f"{name}.yml", directory / f"{name}.sql"
    missing = [path.name for path in (definition, select) if not path.is_file()]
    if missing:
        known = ", ".join(sorted(path.stem for path in directory.glob("*.yml"))) or "none"
        raise DefinitionError(
            f"mart {name}: {' and '.join(missing)} missing in {directory}",
            hint=f"The marts there are: {known}.",
        )
    try:
        document = yaml.safe_load(definition.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DefinitionError(f"mart {name}: {definition} is not YAML: {error}", hint="Correct the file.") from error
    return parse_mart(name, document, select.read_text(encoding="utf-8"), source=str(definition))


def parse_mart(name: str, document: object, select: str, *, source: str = "definition") -> Mart:
    """Build the mart from a parsed ``.yml`` and its select; raises DefinitionError with every fault."""
    reader = _Reader()
    mart = reader.mart(name, document, select)
    if reader.faults:
        faults = "".join(f"\n  {fault}" for fault in reader.faults)
        raise DefinitionError(
            f"mart {name}: {source} is wrong:{faults}", hint="docs/reference/marts.md describes the format."
        )
    return mart


@dataclass(slots=True)
class _Reader:
    faults: list[str] = field(default_factory=list)

    def mart(self, name: str, document: object, select: str) -> Mart:
        fields = self.fields("the file", document, _FIELDS)
        columns = tuple(
            self.column(f"columns[{place}]", item)
            for place, item in enumerate(self.items("columns", fields.get("columns")))
        )
        names = [column.name for column in columns]
        self.faults += [
            f"columns: {repeated} is there twice" for repeated in sorted({n for n in names if names.count(n) > 1})
        ]
        key = tuple(str(item) for item in self.items("key", fields.get("key")))
        self.faults += [f"key: {column} is not one of the columns" for column in key if column not in names]
        checks = CheckReader(set(names), self.faults).checks(fields.get("checks") or [])
        description = self.text("description", fields.get("description"))
        text = select.strip().removesuffix(";").rstrip()
        if not text:
            self.faults.append("the .sql file is empty")
        children = self.children(fields.get("children"))
        incremental = IncrementalReader(key, text, self.faults).incremental(fields.get("incremental"))
        return Mart(name, description, key, columns, checks, text, children, incremental)

    def children(self, value: object) -> tuple[tuple[str, str], ...]:
        if value is None:
            return ()
        if not isinstance(value, dict) or not all(isinstance(each, str) for pair in value.items() for each in pair):
            self.faults.append("children: must be a mapping of child tables to the tables that they belong to")
            return ()
        return tuple(value.items())

    def column(self, path: str, item: object) -> MartColumn:
        fields = self.fields(path, item, _COLUMN_FIELDS)
        name = self.text(f"{path}.name", fields.get("name"))
        if name in {VALID_FROM, VALID_TO}:
            self.faults.append(f"{path}.name: {name} is made by the loader")
        elif name and not _COLUMN_NAME.fullmatch(name):
            self.faults.append(f"{path}.name: {name!r} is not a lower-case name of at most 63 characters")
        type_ = self.text(f"{path}.type", fields.get("type"))
        if type_ and type_ not in COLUMN_TYPES:
            scalars = ", ".join(name for name in COLUMN_TYPES if not name.endswith("[]"))
            self.faults.append(f"{path}.type: {type_} is none of {scalars} or their arrays")
        tracked = fields.get("tracked", True)
        if not isinstance(tracked, bool):
            self.faults.append(f"{path}.tracked: must be true or false")
        description = self.text(f"{path}.description", fields.get("description"))
        return MartColumn(
            name, type_, description, tracked is not False, self.sources(f"{path}.from", fields.get("from"))
        )

    def sources(self, path: str, value: object) -> tuple[str, ...]:
        if value is None:
            return ()
        if (
            isinstance(value, list)
            and value
            and all(isinstance(each, str) and _SOURCE.fullmatch(each) for each in value)
        ):
            return tuple(value)
        self.faults.append(f"{path}: must be a list of replicated columns, each as table.column")
        return ()

    def fields(self, path: str, value: object, allowed: set[str]) -> dict[str, object]:
        if not isinstance(value, dict):
            self.faults.append(f"{path}: must be a mapping with {', '.join(sorted(allowed))}")
            return {}
        self.faults += [f"{path}: unknown field {extra}" for extra in sorted(map(str, value.keys() - allowed))]
        return {str(name): content for name, content in value.items()}

    def items(self, path: str, value: object) -> list[object]:
        if not isinstance(value, list) or not value:
            self.faults.append(f"{path}: must be a list that is not empty")
            return []
        return value

    def text(self, path: str, value: object) -> str:
        if not isinstance(value, str) or not value.strip():
            self.faults.append(f"{path}: must be text")
            return ""
        return value.strip()
