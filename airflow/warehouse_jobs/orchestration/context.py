"""The type of what Airflow hands to a task: a part of the run's context, or the result of another task."""

from __future__ import annotations

from typing import Any, TypeAlias

FromAirflow: TypeAlias = Any
"""Known only at run time; the functions that take it on say what they expect."""
