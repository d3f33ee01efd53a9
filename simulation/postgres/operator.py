"""The model's answer to :class:`OperatorSession`, and what operators do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.core.sessions import Pace, Request, RetriedDeadLetter
from simulation.postgres.client import Client
from simulation.postgres.control import DEAD_LETTER, PACE, PAUSE, REQUEST, DeadLetter, RequestRow
from simulation.postgres.rows import document_of
from simulation.postgres.server import rows_of
from simulation.postgres.storage import Transaction

if TYPE_CHECKING:
    from collections.abc import Mapping

    from replicator_service.core.sessions import Tables
    from simulation.network import Network
    from simulation.postgres.server import Server
    from simulation.scheduler import Process


class ModelOperatorSession(Client):
    """Looks at what is committed."""

    def __init__(self, server: Server, network: Network, process: Process, stream: str) -> None:
        super().__init__(server, network, process)
        self._stream = stream

    def is_paused(self) -> bool:
        """Whether the whole stream is to be paused."""
        return self._view().get(PAUSE, self._stream) is not None

    def open_requests(self) -> list[Request]:
        """Requests that nobody has handled."""
        rows: list[RequestRow] = sorted(self._view().rows(REQUEST).values(), key=lambda row: row.id)
        return [Request(row.id, row.kind, row.collection, row.attempts) for row in rows if not row.is_handled]

    def retried_dead_letters(self, after: int, limit: int) -> list[RetriedDeadLetter]:
        """Dead letters that are to be tried again."""
        rows: list[DeadLetter] = sorted(self._view().rows(DEAD_LETTER).values(), key=lambda row: row.id)
        wanted = [row for row in rows if row.is_retried and row.id > after][:limit]
        return [RetriedDeadLetter(row.id, row.collection, row.key, row.id_document) for row in wanted]

    def snapshot_pace(self) -> Pace:
        """How fast snapshots may be read."""
        return self._view().get(PACE, self._stream) or Pace()

    def with_rows(self, tables: Mapping[str, Tables]) -> set[str]:
        """Those that have a row or a dead letter."""
        view = self._view()
        refused = {key[0] for key in view.rows(DEAD_LETTER)}  # type: ignore[index]  # pairs
        filled = {name for name, specs in tables.items() if any(view.rows(rows_of(spec.name)) for spec in specs)}
        return filled | (refused & tables.keys())

    def keys_after(self, collection: str, tables: Tables, after: str, limit: int) -> list[str]:
        """Distinct keys behind ``after``, in the server's order of text."""
        view = self._view()
        keys = {document_of(key) for table in tables for key in view.rows(rows_of(table.name))}
        keys |= {key[1] for key in view.rows(DEAD_LETTER) if key[0] == collection}  # type: ignore[index]  # pairs
        order = self.server.order
        # At the beginning everything is wanted: the empty text is a key as well.
        return sorted((key for key in keys if not after or order(key) > order(after)), key=order)[:limit]

    def _view(self) -> Transaction:
        self.send()
        return Transaction(self.server.storage)
