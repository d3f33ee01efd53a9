"""Trying again what passes by itself, up to a bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential

from replicator_service.core.errors import Retryable

if TYPE_CHECKING:
    from collections.abc import Callable


def retrying(seconds: float, passes: Callable[[Retryable], bool] = lambda _: True) -> Retrying:
    """Return what calls a function again after a :class:`Retryable` that ``passes``, for so long; then it is raised."""
    return Retrying(
        retry=retry_if_exception(lambda error: isinstance(error, Retryable) and passes(error)),
        wait=wait_exponential(multiplier=0.05, exp_base=1.5, max=1.0),
        stop=stop_after_delay(seconds),
        reraise=True,
    )
