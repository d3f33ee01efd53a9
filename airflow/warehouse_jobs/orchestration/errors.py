"""What can go wrong with a run beside the errors of the jobs themselves."""

from __future__ import annotations


class RunError(Exception):
    """A person has to act. The message says the cause, the hint the fix."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class FormError(RunError):
    """A value of the trigger form is wrong."""


class NotProvedError(RunError):
    """A reconciliation did not end with the proof that both sides are equal."""
