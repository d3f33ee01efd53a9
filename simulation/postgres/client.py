"""A connection as a process has it: every statement is a journey, and may be the last one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.core.errors import Retryable

if TYPE_CHECKING:
    from simulation.network import Network
    from simulation.postgres.server import Server, ServerSession
    from simulation.scheduler import Process


class Client:
    """One connection of one process. Lost once, it is lost for ever."""

    def __init__(self, server: Server, network: Network, process: Process) -> None:
        self.server = server
        self.network = network
        self.process = process
        network.travel(process)
        self.session: ServerSession = server.connect(process)
        self.is_lost = False

    def send(self) -> None:
        """A statement's way to the server. Raises :class:`Retryable` when it does not get there."""
        if self.is_lost or not self.session.is_alive:
            self.is_lost = True
            raise Retryable("the connection to PostgreSQL is lost")
        try:
            self.network.travel(self.process)
            self.server.require_up()
        except Retryable:
            self.lose()
            raise
        if not self.session.is_alive:
            self.is_lost = True
            raise Retryable("the connection to PostgreSQL was lost")
        self.session.activity += 1

    def receive(self) -> None:
        """The answer's way back: what the statement did is done, also when this raises."""
        if self.network.chance(0.1):
            self.server.scheduler.pause()
        if self.network.loss and self.network.chance(self.network.loss):
            self.lose()
            raise Retryable("the connection to PostgreSQL was lost before the answer came")

    def lose(self) -> None:
        """The connection is gone; the server notices at once, or only after a while."""
        self.is_lost = True
        session = self.session
        if self.network.chance(0.7):
            session.end()
        else:
            self.server.end_later(session, self.network.number(1, 20))

    def close(self) -> None:
        """End the session; the server may take a moment to notice."""
        self.is_lost = True
        if self.network.delay and self.network.chance(0.2):
            self.server.end_later(self.session, 1)
        else:
            self.session.end()
