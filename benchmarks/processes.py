"""What processes have cost so far, from Linux's /proc; zeros where there is none."""

from __future__ import annotations

import os
import re
from pathlib import Path

from devstack.supervisor import children

_PER_SECOND = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int, *, with_children: bool = False) -> float:
    """Processor time of a process; with its children, those that have ended included."""
    own = _times(pid)
    if not with_children:
        return sum(own[:2]) / _PER_SECOND
    living = sum(sum(_times(child)[:2]) for child in children(pid))
    return (sum(own) + living) / _PER_SECOND


def peak_bytes(pid: int) -> int:
    """The most memory that a process has held so far."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(encoding="ascii"))
    except OSError:
        return 0
    return int(found.group(1)) * 1024 if found else 0


def _times(pid: int) -> list[int]:
    """User and system time, and those of children that were waited for, in clock ticks."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return [0, 0, 0, 0]
    return [int(field) for field in fields[11:15]]
