"""One attempt at a part: what each of its collections has given, together."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from replicator_service.core.errors import ReplicatorError, Retryable
from replicator_service.core.reconciliation import Difference, PartResult
from replicator_service.reconcile.findings import Findings
from replicator_service.sink.reconcile import reconciliation as store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from replicator_service.reconcile.comparing import Outcome
    from replicator_service.reconcile.options import Options
    from replicator_service.reconcile.parts import Part
    from replicator_service.reconcile.servers import Servers

INTERRUPTED = "the comparison was interrupted before its end"

_SHORT_TIMEOUT_SECONDS = 1.0
_SHOWN = 20


class Attempt:
    """The attempt of one process at one part of a run."""

    def __init__(self, servers: Servers, run_id: int, part: Part) -> None:
        self._servers = servers
        self._run_id = run_id
        self._part = part
        self._began = time.monotonic()
        self._before = store.repaired_before(servers.write, run_id, part.label)
        self._found: dict[str, tuple[Findings, Outcome]] = {}

    def findings(self, collection: str) -> Findings:
        """Where the findings of a collection go; what is repaired is remembered with it."""
        return Findings(partial(self._remember, collection))

    def options(self, options: Options) -> Options:
        """The options for the next collection: after one was waited for in vain, the others of the part are not."""
        return (
            replace(options, timeout_seconds=min(options.timeout_seconds, _SHORT_TIMEOUT_SECONDS))
            if self.error
            else options
        )

    def take(self, collection: str, findings: Findings, outcome: Outcome) -> None:
        """A collection is done.

        Raises its error when the connections are gone: nothing can be compared or remembered any more.
        """
        self._found[collection] = findings, outcome
        if outcome.error is not None and (self._servers.write.closed or self._servers.read.closed):
            raise outcome.error

    @property
    def error(self) -> ReplicatorError | None:
        """What the attempt ends with: an error that another attempt may not meet, else the first one."""
        errors = [outcome.error for _, outcome in self._found.values() if outcome.error is not None]
        return next((each for each in errors if isinstance(each, Retryable)), errors[0] if errors else None)

    def record(self) -> PartResult:
        """Remember the result, and give it."""
        findings = [found for found, _ in self._found.values()]
        outcomes = {name: outcome for name, (_, outcome) in self._found.items()}
        result = PartResult(
            label=self._part.label,
            collection=self._only,
            cluster_time=min((each.cluster_time for each in outcomes.values() if each.cluster_time), default=None),
            documents=sum(each.documents for each in findings),
            differences=self._before + sum(each.count for each in findings),
            repaired=self._before + sum(each.repaired for each in findings),
            seconds=round(time.monotonic() - self._began, 3),
            skipped=self._told({name: each.skipped for name, each in outcomes.items() if each.skipped}),
            error=self._told({name: each.error.message for name, each in outcomes.items() if each.error}, shown=_SHOWN),
        )
        store.record_part(
            self._servers.write,
            self._run_id,
            result,
            {name: found.kept for name, (found, _) in self._found.items()},
            whole=self._part.collections if self._part.is_whole else (),
        )
        return result

    @property
    def _only(self) -> str | None:
        return self._part.collections[0] if len(self._part.collections) == 1 else None

    def _told(self, reasons: Mapping[str, str], *, shown: int | None = None) -> str | None:
        if not reasons:
            return None
        if self._only is not None:
            return reasons[self._only]
        told = "; ".join(f"{name}: {reason}" for name, reason in list(reasons.items())[:shown])
        return told if shown is None or len(reasons) <= shown else f"{told}; and {len(reasons) - shown} more"

    def _remember(self, collection: str, differences: Sequence[Difference]) -> None:
        """In the transaction of a repair: until the part is recorded, its result is that it was interrupted."""
        result = PartResult(self._part.label, self._only, error=INTERRUPTED)
        store.remember_repaired(self._servers.write, self._run_id, result, collection, differences)
