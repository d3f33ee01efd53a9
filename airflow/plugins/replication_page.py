"""The page of the replication in Airflow's navigation: a link to the address in ``REPLICATOR_PAGE_URL``.

The address is one that the reader's browser can reach. Without the variable there is no link. The page opens inside
Airflow, beside the navigation: a link without a route of its own is a dead button in Airflow 3.3.
"""  # noqa: INP001 - a folder that Airflow looks into, not a package

from __future__ import annotations

import os
from typing import Any
from urllib.parse import quote, urlsplit

from airflow.plugins_manager import AirflowPlugin

VARIABLE = "REPLICATOR_PAGE_URL"
_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16" fill="none" stroke="{}" stroke-width="1.3" '
    'stroke-linecap="round" stroke-linejoin="round"><path d="M2 5h11M10 2l3 3-3 3M14 11H3M6 8l-3 3 3 3"/></svg>'
)


def _icon(colour: str) -> str:
    return f"data:image/svg+xml,{quote(_ICON.format(colour))}"


def _views() -> list[dict[str, Any]]:
    address = os.environ.get(VARIABLE, "").strip()
    if urlsplit(address).scheme not in {"http", "https"}:
        return []
    return [
        {
            "name": "Replication",
            "href": address,
            "url_route": "replication",
            "destination": "nav",
            "nav_top_level": True,
            "icon": _icon("#71717a"),
            "icon_dark_mode": _icon("#d4d4d8"),
        }
    ]


class ReplicationPage(AirflowPlugin):
    """Adds the link."""

    name = "replication_page"
    external_views = _views()
