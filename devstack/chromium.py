"""A real browser without a window: the Chromium of this machine, driven by Playwright."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from playwright.sync_api import sync_playwright

from devstack.errors import DevstackError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from playwright.sync_api import Browser

VARIABLE = "CHROMIUM"
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

# It is to talk to the page alone: no updates, no lookups, no traffic of its own.
_QUIET = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Grey edges of letters instead of coloured ones: pictures are a third smaller, and the same on every screen.
    "--disable-lcd-text",
)


def find_chromium(environ: Mapping[str, str] = os.environ) -> str:
    """The program: what the variable ``CHROMIUM`` names, or the first of its usual names on PATH.

    Raises :class:`DevstackError` with what to install.
    """
    for name in (environ.get(VARIABLE, ""), *_NAMES):
        if name and (found := shutil.which(name, path=environ.get("PATH", os.defpath))):
            return found
    raise DevstackError(
        "There is no Chromium on this machine.",
        hint=f"Install it (Debian: apt-get install chromium), or name the program in the variable {VARIABLE}.",
    )


@contextmanager
def running_chromium() -> Iterator[Browser]:
    """A browser with an empty profile until the end of the block."""
    # Chromium's sandbox refuses to work for root.
    alone = ("--no-sandbox",) if os.geteuid() == 0 else ()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=[*_QUIET, *alone])
        try:
            yield browser
        finally:
            browser.close()
