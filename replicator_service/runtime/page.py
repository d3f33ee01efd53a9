"""The page for people, in a first, plain form: one document without scripts that asks to be loaded again."""

from __future__ import annotations

from html import escape
from typing import Any

Json = dict[str, Any]

REFRESH_SECONDS = 2

_STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.3rem; } h1 small { font-weight: normal; opacity: .7; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #8884; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
.error { border-left: 4px solid #c33; padding: .3rem 1rem; background: #c331; }
.facts { display: flex; flex-wrap: wrap; gap: .5rem 2.5rem; margin: 0; }
.facts div { display: flex; flex-direction: column; }
.facts dt { opacity: .7; } .facts dd { margin: 0; font-size: 1.2rem; }
"""


def page(status: Json) -> str:
    """The whole page for one status."""
    stream = escape(str(status["stream"]))
    return (
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="refresh" content="{REFRESH_SECONDS}">'
        f"<title>{escape(str(status['state']))}: {stream}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{stream} <small>MongoDB to PostgreSQL</small></h1>"
        f"{_error(status['error'])}{_facts(status)}{_collections(status['collections'])}"
        f"{_unsupported(status['unsupported_collections'])}"
        '<p><a href="/status">status</a> · <a href="/metrics">metrics</a> · '
        '<a href="/readyz?verbose">readiness</a></p></body></html>\n'
    )


def _error(error: Json | None) -> str:
    if error is None:
        return ""
    return f'<p class="error" role="alert"><strong>{escape(error["message"])}</strong><br>{escape(error["hint"])}</p>'


def _facts(status: Json) -> str:
    last = status["last_reconciliation"]
    compared = "never" if last is None else f"{last['differences']:,} at {last['at'][:16].replace('T', ' ')} UTC"
    facts = {
        "State": status["state"].replace("_", " "),
        "Role": status["role"],
        "Lag": _duration(status["lag_seconds"]),
        "Oplog headroom": _duration(status["oplog_headroom_seconds"]),
        "Dead letters": f"{status['dead_letters']:,}",
        "Events": f"{status['events_total']:,}",
        "Differences": compared,
    }
    items = "".join(f"<div><dt>{name}</dt><dd>{escape(text)}</dd></div>" for name, text in facts.items())
    return f'<dl class="facts">{items}</dl>'


def _collections(collections: Json) -> str:
    if not collections:
        return "<p>No collections yet.</p>"
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{escape(each['table'])}</td><td>{escape(each['state'])}</td>"
        f'<td class="number">{each["rows"]:,}</td><td class="number">{_share(each["snapshot_progress"])}</td>'
        f'<td class="number">{each["dead_letters"]:,}</td></tr>'
        for name, each in collections.items()
    )
    return (
        "<table><thead><tr><th>Collection</th><th>Table</th><th>State</th>"
        '<th class="number">Rows, about</th><th class="number">Snapshot</th><th class="number">Dead letters</th></tr>'
        f"</thead><tbody>{rows}</tbody></table>"
    )


def _unsupported(unsupported: Json) -> str:
    if not unsupported:
        return ""
    named = ", ".join(f"{escape(name)} ({escape(kind)})" for name, kind in unsupported.items())
    return f"<p>Without change events, so not replicated: {named}.</p>"


def _share(share: float | None) -> str:
    return "…" if share is None else f"{share:.0%}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    if abs(seconds) < 120:
        return f"{seconds:.0f} s"
    if abs(seconds) < 7_200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3_600:.0f} h"
