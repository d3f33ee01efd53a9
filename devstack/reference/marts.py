"""The page of the marts: their columns, checks and lineage, from the definitions in ``sql/marts/``."""

from __future__ import annotations

from devstack.reference.markdown import code, filled, table
from warehouse_jobs.marts import mart_names, read_mart
from warehouse_jobs.marts.checks import key_checks, name_of
from warehouse_jobs.marts.control_tables import LOAD_RUN_COMMENTS
from warehouse_jobs.marts.definition import VALID_FROM, Mart

_OWN = {"_id", "_ordinal", "_extra"}


def page() -> str:
    """The whole page."""
    marts = [read_mart(name) for name in mart_names()]
    runs = [(code(name), meaning) for name, meaning in LOAD_RUN_COMMENTS.items() if name]
    return filled(
        "marts",
        {
            "dictionary": "\n".join(map(_columns, marts)),
            "lineage": "\n".join(map(_lineage, marts)),
            "checks": "\n".join(map(_checks, marts)),
            "load_run": table(("column", "meaning"), runs),
        },
    )


def _columns(mart: Mart) -> str:
    rows = [(code(each.name), each.type, each.description) for each in mart.columns]
    rows.append((code(VALID_FROM), "timestamptz", "When this version of the row became valid."))
    head = f"### {mart.name}\n\n{mart.description} Key: {', '.join(map(code, mart.key))}.\n\n"
    return head + table(("column", "type", "meaning"), rows)


def _lineage(mart: Mart) -> str:
    """Columns that only tell rows apart, or hold what did not fit, are not shown."""
    rows = [
        (code(each.name), ", ".join(code(name) for name in each.sources if name.partition(".")[2] not in _OWN))
        for each in mart.columns
    ]
    return table((code(mart.name), "replicated columns"), rows)


def _checks(mart: Mart) -> str:
    names = [name_of(check) for check in (*key_checks(mart), *mart.checks)]
    return f"* {code(mart.name)}: {', '.join(map(code, names))}"
