"""The page in a real browser, served by the real HTTP server over whatever a test makes up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@dataclass
class Visit:
    """A page that is looked at, with the errors that its scripts have made."""

    page: Page
    errors: list[str] = field(default_factory=list)

    def text(self, selector: str) -> str:
        """What a person reads there, on one line."""
        return " ".join(self.page.locator(selector).first.inner_text().split())

    def texts(self, selector: str) -> list[str]:
        """The same of every element that fits."""
        return [" ".join(each.split()) for each in self.page.locator(selector).all_inner_texts()]

    def wait_for(self, selector: str, text: str) -> None:
        """Wait until an element shows a text."""
        self.page.locator(selector).filter(has_text=text).first.wait_for(timeout=10_000)

    def facts(self, selector: str) -> dict[str, str]:
        """A list of terms and values."""
        terms, values = self.texts(f"{selector} dt"), self.texts(f"{selector} dd")
        return dict(zip(terms, values, strict=True))

    def is_as_wide_as_its_window(self) -> bool:
        """Whether nothing has to be scrolled sideways."""
        width: bool = self.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        return width


def visit(browser: Browser, url: str, **options: Any) -> Visit:
    """Open the page and wait until it has shown what the service says."""
    options = {"viewport": {"width": 1180, "height": 900}, "timezone_id": "UTC", **options}
    page = browser.new_page(**options)
    visited = Visit(page)
    page.on("pageerror", lambda error: visited.errors.append(str(error)))
    page.on(
        "console", lambda message: visited.errors.append(message.text) if "Content Security" in message.text else None
    )
    page.goto(url)
    page.wait_for_selector("#state:not([data-state=''])")
    return visited
