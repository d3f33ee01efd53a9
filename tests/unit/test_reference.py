"""The reference says what the code does: its pages are what the generator makes."""

from __future__ import annotations

import pytest

from devstack.reference import PAGES
from tests.support.doc_blocks import ROOT


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_what_the_code_says(name: str) -> None:
    page = ROOT / "docs" / "reference" / name
    assert page.read_text(encoding="utf-8") == PAGES[name](), "run make docs"
