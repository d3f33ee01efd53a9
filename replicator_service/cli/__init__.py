"""The command line ``replicator``: reads options and settings, calls what does the work, prints what it answers.

One module a command or family of commands; ``application`` puts them together. Exit codes: 0 ok, 1 difference found,
2 configuration, 3 connection, 4 resync required.
"""

from __future__ import annotations

from replicator_service.cli.application import main

__all__ = ["main"]
