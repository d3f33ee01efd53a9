"""The reference part of the documentation, made by asking the code: ``python -m devstack.reference``.

Each module makes one page of ``docs/reference/``; a test asserts that the committed files are what they make. The
functions return whole pages and touch no file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from devstack.reference import abilities, commands, http, mapping, marts, messages, metrics, settings, webhook
from replicator_service.core.codec import types_page

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PAGES: Mapping[str, Callable[[], str]] = {
    "settings.md": settings.page,
    "mapping.md": mapping.page,
    "types.md": types_page.page,
    "cli.md": commands.page,
    "http.md": http.page,
    "metrics.md": metrics.page,
    "messages.md": messages.page,
    "marts.md": marts.page,
    "abilities.md": abilities.page,
    "webhook.md": webhook.page,
}
"""Names of files in ``docs/reference/`` and what makes them."""
