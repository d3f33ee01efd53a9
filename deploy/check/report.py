"""What was checked and what was not, line by line, as it happens."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable


class CheckFailedError(Exception):
    """Something is not as it should be: one line that says what, and below it what a program said of it."""

    def __init__(self, message: str, *, output: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.output = output


class Report:
    """Prints each result and remembers whether one was bad."""

    def __init__(self, out: TextIO = sys.stdout, clock: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        self._clock = clock
        self._checked = self._failed = self._unchecked = 0

    @property
    def exit_code(self) -> int:
        """0 unless a check failed; what could not be checked is no failure."""
        return 1 if self._failed else 0

    def check(self, name: str, made: Callable[[], str]) -> bool:
        """Run one check and print its name, what it found and how long it took; False when it failed."""
        began = self._clock()
        self._checked += 1
        try:
            found = made()
        except CheckFailedError as error:
            self._failed += 1
            self._print(f"✘ {name}: {error.message}")
            for line in error.output.rstrip().splitlines():
                self._print(f"    {line}")
            return False
        self._print(f"✔ {name}{found and f': {found}'} ({self._clock() - began:.1f} s)")
        return True

    def not_checked(self, name: str, reason: str) -> None:
        """Say that something was left out, and why."""
        self._unchecked += 1
        self._print(f"· not checked: {name}: {reason}")

    def summary(self) -> None:
        """The last line."""
        self._print(f"\n{self._checked} checks, {self._failed} failed; {self._unchecked} could not be made here")

    def _print(self, line: str) -> None:
        self._out.write(line + "\n")
        self._out.flush()
