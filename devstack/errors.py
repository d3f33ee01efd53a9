"""The one error of this package."""

from __future__ import annotations


class DevstackError(Exception):
    """A server cannot be found, started or stopped: the message names the cause, the hint names the way out."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(f"{message}\n{hint}" if hint else message)
        self.message = message
        self.hint = hint
