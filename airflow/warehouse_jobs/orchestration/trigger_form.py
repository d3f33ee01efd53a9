"""The trigger form of a run: only names that the DAG declares.

Airflow checks the values of declared parameters, and takes any other name without a word: ``{"Repair": false}`` would
be a real repair.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from warehouse_jobs.orchestration.errors import FormError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def require_known(declared: Iterable[str], conf: Mapping[str, Any] | None) -> None:
    """Raise :class:`FormError` for the first name that was given and not declared."""
    names = sorted(declared)
    for name in conf or {}:
        if name in names:
            continue
        meant = get_close_matches(name.lower(), names, n=1)
        raise FormError(
            f"there is no parameter {name!r}: nothing was done",
            hint=f"Did you mean {meant[0]}?" if meant else f"The parameters are {', '.join(names)}.",
        )
