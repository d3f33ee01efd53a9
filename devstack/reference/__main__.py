"""Write the pages: ``python -m devstack.reference``."""

from __future__ import annotations

from pathlib import Path

from devstack.reference import PAGES

DIRECTORY = Path(__file__).resolve().parents[2] / "docs" / "reference"

for name, page in PAGES.items():
    (DIRECTORY / name).write_text(page(), encoding="utf-8")
