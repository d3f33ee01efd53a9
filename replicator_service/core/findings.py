"""What a preflight finds: one line a check, with its cause and its fix."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Generic, TypeVar

from replicator_service.core.errors import ConfigurationError, ReplicatorError, ResyncRequired, Retryable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence


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


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: its cause, and what to do, as the statement or the command itself.

    ``level`` is FAIL for what the service cannot run with, WARN for what it can.
    """

    cause: str
    fix: str
    level: Level = Level.FAIL
    exit_code: int = ConfigurationError.exit_code

    @property
    def error(self) -> ConfigurationError:
        """What a start raises because of it."""
        return ConfigurationError(self.cause, hint=self.fix)


Info = TypeVar("Info")


@dataclass(frozen=True, slots=True)
class Requirement(Generic[Info]):
    """One check over what was gathered before: which problems they show, or what to say when there is none.

    ``is_asked_at_start``: the service does not begin with such a problem. The other ones show themselves when they
    matter, or only warn.
    """

    name: str
    problems: Callable[[Info], Iterable[Problem]]
    fine: Callable[[Info], str]
    is_asked_at_start: bool = False

    def finding(self, info: Info) -> Finding:
        """The check's line."""
        return finding(self.name, list(self.problems(info)), self.fine(info))


_SHOWN = 20
"""Of many problems of one kind so many are named: the others look the same."""


def finding(name: str, problems: Sequence[Problem], fine: str) -> Finding:
    """One line for all problems of a check; ``fine`` is its cause when there is none."""
    if not problems:
        return Finding(name, Level.OK, fine)
    failures = [each for each in problems if each.level is Level.FAIL]
    shown = (failures or list(problems))[:_SHOWN]
    more = len(problems) - len(shown)
    causes = list(dict.fromkeys(each.cause for each in shown))
    fixes = list(dict.fromkeys(each.fix for each in shown))
    return Finding(
        name,
        Level.FAIL if failures else Level.WARN,
        "; ".join(causes) + (f"; and {more} more" if more else ""),
        "; ".join(fixes),
        failures[0].exit_code if failures else 0,
    )


def require(requirements: Iterable[Requirement[Info]], info: Info) -> None:
    """Raise the first problem that keeps the service from beginning, as :class:`ConfigurationError`."""
    for requirement in requirements:
        if requirement.is_asked_at_start:
            for problem in requirement.problems(info):
                if problem.level is Level.FAIL:
                    raise problem.error


@dataclass(slots=True)
class Checklist:
    """A growing list of findings. Checks go on after a failure wherever there is still something to ask."""

    findings: list[Finding] = field(default_factory=list)

    def judge(self, requirements: Iterable[Requirement[Info]], info: Info) -> None:
        """Make these checks over what was gathered."""
        self.findings += [requirement.finding(info) for requirement in requirements]

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
