"""What a signal does to a service, in whatever it comes."""

from __future__ import annotations

import io
import os
import signal

from replicator_service.cli.run import Stopping, stopped_by_signals
from replicator_service.runtime.log.logging import make_logger


class Interrupted(io.StringIO):
    """A stream during whose writing the signal comes."""

    def write(self, text: str) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        return super().write(text)


def test_a_signal_that_comes_while_a_line_is_written_is_kept_and_blocks_nothing() -> None:
    stopping, stream = Stopping(), Interrupted()
    with stopped_by_signals(stopping):
        make_logger(stream=stream).info("service started")
    assert (stopping.is_set(), stopping.signal) == (True, "SIGTERM")
    assert stream.getvalue().count("\n") == 1
