"""How many examples the property tests look at: `EXAMPLES` is a share of what each of them asks for, 1 by default."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import settings

SHARE = float(os.environ.get("EXAMPLES", "1"))


def some(number: int) -> int:
    """Return the share of a number that is wanted, at least one."""
    return max(1, round(number * SHARE))


def examples(number: int, **options: Any) -> settings:
    """Return the settings of a property test that looks at so many examples, or the share of them that is wanted."""
    return settings(max_examples=some(number), **options)
