"""What a preflight finds: one line a check, with its cause and its fix."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from replicator_service.core.errors import ConfigurationError, ReplicatorError, ResyncRequired, Retryable

if TYPE_CHECKING:
    from collections.abc import Iterator


class Level(StrEnum):
    """How a check ended. ``SKIP`` means that an earlier failure left nothing to ask."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check. ``cause`` says what was found; ``fix`` what to do, where something is to be done.

    ``exit_code`` is 0 unless the check failed.
    """

    name: str
    level: Level
    cause: str
    fix: str = ""
    exit_code: int = 0


@dataclass(slots=True)
class Checklist:
    """A growing list of findings. Checks go on after a failure wherever there is still something to ask."""

    findings: list[Finding] = field(default_factory=list)

    def ok(self, name: str, cause: str) -> None:
        """The check found what it wanted."""
        self.findings.append(Finding(name, Level.OK, cause))

    def warn(self, name: str, cause: str, fix: str) -> None:
        """The service runs, though not as well as it could."""
        self.findings.append(Finding(name, Level.WARN, cause, fix))

    def fail(self, name: str, cause: str, fix: str, *, exit_code: int = ConfigurationError.exit_code) -> None:
        """The service would not run."""
        self.findings.append(Finding(name, Level.FAIL, cause, fix, exit_code))

    def skip(self, *names: str) -> None:
        """These cannot be asked after what was found before."""
        self.findings += [Finding(name, Level.SKIP, "not checked, see above") for name in names]

    @contextmanager
    def failing(self, name: str) -> Iterator[None]:
        """Turn one of our errors inside into a failure of this check."""
        try:
            yield
        except ReplicatorError as error:
            self.fail(name, error.message, error.hint, exit_code=error.exit_code)

    @contextmanager
    def warning(self, name: str, fix: str) -> Iterator[None]:
        """Turn one of our errors inside into a warning: what could not be asked is not needed to run."""
        try:
            yield
        except ReplicatorError as error:
            self.warn(name, f"cannot be told: {error.message}", fix)

    def failed(self, name: str) -> bool:
        """Whether this check was made and failed."""
        return any(found.name == name and found.level is Level.FAIL for found in self.findings)


def exit_code(findings: list[Finding]) -> int:
    """The exit code of a whole preflight: what has to be put right first."""
    codes = {found.exit_code for found in findings if found.level is Level.FAIL}
    order = (ConfigurationError.exit_code, Retryable.exit_code, ResyncRequired.exit_code)
    return next((code for code in order if code in codes), 0)
