"""Reads the ``checks`` of a mart's ``.yml``: each item has one field, the kind of the check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from warehouse_jobs.marts.checks import (
    AcceptedValues,
    Check,
    Expression,
    MassClose,
    NonNegative,
    NotNull,
    RowCountDrop,
    TurnedNull,
    TurnedZero,
    Unique,
    Warned,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_KINDS = (
    "not_null",
    "unique",
    "accepted_values",
    "non_negative",
    "row_count_drop",
    "mass_close",
    "turned_null",
    "turned_zero",
    "expression",
    "warning",
)


_READ_AS_PAIRS = ("turned_null", "turned_zero", "expression", "warning")


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
        if kind in _READ_AS_PAIRS:
            yield from self._pairs(f"{path}.{kind}", kind, content)
            return
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
            case "mass_close":
                fields = self._fields(f"{path}.mass_close", content, {"max_share"})
                yield from (MassClose(share) for share in self._share(f"{path}.mass_close", fields))
            case _:
                self.faults.append(f"{path}: {kind} is none of {', '.join(_KINDS)}")

    def _pairs(self, path: str, kind: str, content: object) -> Iterator[Check]:
        match kind:
            case "turned_null":
                yield from (TurnedNull(*each) for each in self._turned(path, content))
            case "turned_zero":
                yield from (TurnedZero(*each) for each in self._turned(path, content))
            case "expression":
                yield from (Expression(*each) for each in self._expression(path, content))
            case _:
                yield from (Warned(*each) for each in self._expression(path, content))

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
        min_rows = fields.get("min_rows", 0)
        for share in self._share(path, fields):
            if type(min_rows) is not int or min_rows < 0:
                self.faults.append(f"{path}.min_rows: must be a whole number, 0 or more")
            else:
                yield RowCountDrop(share, min_rows)

    def _turned(self, path: str, content: object) -> Iterator[tuple[str, float]]:
        fields = self._fields(path, content, {"max_share", "columns"})
        columns = self._columns(f"{path}.columns", fields.get("columns"))
        for share in self._share(path, fields):
            yield from ((column, share) for column in columns)

    def _share(self, path: str, fields: dict[str, object]) -> Iterator[float]:
        max_share = fields.get("max_share")
        if type(max_share) not in {int, float} or not 0 <= float(str(max_share)) <= 1:
            self.faults.append(f"{path}.max_share: must be a number from 0 to 1")
        else:
            yield float(str(max_share))

    def _expression(self, path: str, content: object) -> Iterator[tuple[str, str]]:
        fields = self._fields(path, content, {"name", "sql"})
        name, text = fields.get("name"), fields.get("sql")
        if not isinstance(name, str) or not isinstance(text, str) or not name.strip() or not text.strip():
            self.faults.append(f"{path}: needs a name and an sql expression, both text")
        else:
            yield name.strip(), text.strip()

    def _fields(self, path: str, content: object, allowed: set[str]) -> dict[str, object]:
        if not isinstance(content, dict):
            self.faults.append(f"{path}: must be a mapping with {', '.join(sorted(allowed))}")
            return {}
        unknown = sorted(map(str, content.keys() - allowed))
        self.faults.extend(f"{path}: unknown field {extra}" for extra in unknown)
        return {str(name): value for name, value in content.items()}
