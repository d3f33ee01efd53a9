"""The options of regular expressions between BSON's letters and the driver's flags."""

from __future__ import annotations

import re

_LETTERS = {
    "i": re.IGNORECASE,
    "l": re.LOCALE,
    "m": re.MULTILINE,
    "s": re.DOTALL,
    "u": re.UNICODE,
    "x": re.VERBOSE,
}


def option_text(flags: int) -> str:
    """Give the letters of the driver's flags in alphabetical order."""
    return "".join(letter for letter, flag in _LETTERS.items() if flags & flag)
