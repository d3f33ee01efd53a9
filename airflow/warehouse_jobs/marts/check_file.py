"""Reads the ``checks`` of a mart's ``.yml``: each item has one field, the kind of the check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from warehouse_jobs.marts.checks import (
    AcceptedValues,
    Check,
    Expression,
    NonNegative,
    NotNull,
    RowCountDrop,
    Unique,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_KINDS = ("not_null", "unique", "accepted_values", "non_negative", "row_count_drop", "expression")


@dataclass(frozen=True, slots=True)
class CheckReader:
    """Turns the items into checks of these columns; what is wrong is appended to ``faults``."""

    columns: set[str]
    faults: list[str]

    def checks(self, items: object) -> tuple[Check, ...]:
        """Every check that could be read."""
        if not isinstance(items, list):
            self.faults.append("checks: must be a list")
            return ()
        return tuple(check for place, item in enumerate(items) for check in self._checks(f"checks[{place}]", item))

    def _checks(self, path: str, item: object) -> Iterator[Check]:
        if not isinstance(item, dict) or len(item) != 1:
            self.faults.append(f"{path}: must be one of {', '.join(_KINDS)} with what it needs")
            return
        kind, content = next(iter(item.items()))
        match kind:
            case "not_null":
                yield from map(NotNull, self._columns(f"{path}.not_null", content))
            case "non_negative":
                yield from map(NonNegative, self._columns(f"{path}.non_negative", content))
            case "unique":
                if columns := self._columns(f"{path}.unique", content):
                    yield Unique(columns)
            case "accepted_values":
                yield from self._accepted_values(f"{path}.accepted_values", content)
            case "row_count_drop":
                yield from self._row_count_drop(f"{path}.row_count_drop", content)
            case "expression":
                yield from self._expression(f"{path}.expression", content)
            case _:
                self.faults.append(f"{path}: {kind} is none of {', '.join(_KINDS)}")

    def _columns(self, path: str, content: object) -> tuple[str, ...]:
        if not isinstance(content, list) or not content:
            self.faults.append(f"{path}: must be a list of columns")
            return ()
        unknown = [str(name) for name in content if name not in self.columns]
        self.faults.extend(f"{path}: {name} is not one of the columns" for name in unknown)
        return () if unknown else tuple(map(str, content))

    def _accepted_values(self, path: str, content: object) -> Iterator[AcceptedValues]:
        fields = self._fields(path, content, {"column", "values"})
        columns = self._columns(path, [fields.get("column")])
        values = fields.get("values")
        # YAML reads a bare yes, no, on or off as a boolean, which no text column ever equals.
        if not isinstance(values, list) or not values or not all(type(value) in {str, int} for value in values):
            self.faults.append(f"{path}.values: must be a list of texts (quoted) or whole numbers")
        elif columns:
            yield AcceptedValues(columns[0], tuple(values))

    def _row_count_drop(self, path: str, content: object) -> Iterator[RowCountDrop]:
        fields = self._fields(path, content, {"max_share", "min_rows"})
        max_share, min_rows = fields.get("max_share"), fields.get("min_rows", 0)
        if type(max_share) not in {int, float} or not 0 <= float(str(max_share)) <= 1:
            self.faults.append(f"{path}.max_share: must be a number from 0 to 1")
        elif type(min_rows) is not int or int(str(min_rows)) < 0:
            self.faults.append(f"{path}.min_rows: must be a whole number, 0 or more")
        else:
            yield RowCountDrop(float(str(max_share)), int(str(min_rows)))

    def _expression(self, path: str, content: object) -> Iterator[Expression]:
        fields = self._fields(path, content, {"name", "sql"})
        name, text = fields.get("name"), fields.get("sql")
        if not isinstance(name, str) or not isinstance(text, str) or not name.strip() or not text.strip():
            self.faults.append(f"{path}: needs a name and an sql expression, both text")
        else:
            yield Expression(name.strip(), text.strip())

    def _fields(self, path: str, content: object, allowed: set[str]) -> dict[str, object]:
        if not isinstance(content, dict):
            self.faults.append(f"{path}: must be a mapping with {', '.join(sorted(allowed))}")
            return {}
        unknown = sorted(map(str, content.keys() - allowed))
        self.faults.extend(f"{path}: unknown field {extra}" for extra in unknown)
        return {str(name): value for name, value in content.items()}
