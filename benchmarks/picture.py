"""A picture of a run: how fast the service is beside the raw limits and peers, and which process spends what."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Plain = dict[str, Any]

_WIDTH = 880
_LABEL = 300
_ROOM = 90
_BAR, _GAP, _TITLE = 16, 6, 34
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f; }
.title { font-weight: 600; font-size: 14px; }
.small { fill: #57606a; }
.limit { fill: #afb8c1; } .peer { fill: #c9a227; } .ours { fill: #2f6fdb; }
.service { fill: #2f6fdb; } .mongod { fill: #3f9142; } .postgres { fill: #7d5bbe; }
.range { stroke: #24292f; stroke-width: 1; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; } .small { fill: #9198a1; } .range { stroke: #e6edf3; } .limit { fill: #59636e; }
}
"""
_RATES = ("events/s", "documents/s")
_PROCESSES = ("service", "mongod", "postgres")


def picture(rows: Sequence[Plain], caption: str) -> str:
    """The SVG of a run's rows."""
    parts: list[str] = []
    height = 8
    for title, section in _sections(rows):
        height = _rates(parts, height, title, section)
    height = _costs(parts, height, [row for row in rows if "cpu_us" in row])
    parts.append(f'<text class="small" x="8" y="{height + 20}">{escape(caption)}</text>')
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height + 32}" role="img">'
    return "\n".join([head, f"<style>{_STYLE}</style>", *parts, "</svg>"]) + "\n"


def _sections(rows: Sequence[Plain]) -> Iterator[tuple[str, list[Plain]]]:
    for title in dict.fromkeys(row["section"] for row in rows):
        section = [row for row in rows if row["section"] == title and row["unit"] in _RATES]
        if len(section) > 1:
            yield title, section


def _rates(parts: list[str], top: int, title: str, rows: Sequence[Plain]) -> int:
    """One section of rates as bars on one scale; returns where the next may begin."""
    most = max(row["highest"] for row in rows)
    top = _heading(parts, top, f"{title}, {rows[0]['unit']}")
    for row in rows:
        kind = "ours" if "service" in row["name"] else "peer" if title.startswith("beside") else "limit"
        value = row["median"]
        end = _bar(parts, top, row["name"], [(kind, value / most)])
        low, high = (_LABEL + row[each] / most * _span() for each in ("lowest", "highest"))
        middle = top + _BAR / 2
        parts.append(f'<line class="range" x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}"/>')
        _text(parts, max(end, high) + 6, top, f"{value:,.0f}", "small")
        top += _BAR + _GAP
    return top


def _costs(parts: list[str], top: int, rows: Sequence[Plain]) -> int:
    """What each process spends on one event or document."""
    if not rows:
        return top
    sums = [sum(row["cpu_us"].values()) for row in rows]
    top = _heading(parts, top, "processor time of each change or document, µs: service, mongod, PostgreSQL")
    for row, whole in zip(rows, sums, strict=True):
        shares = [(name, row["cpu_us"][name] / max(sums)) for name in _PROCESSES]
        end = _bar(parts, top, f"{row['section']}: {row['name']}", shares)
        told = " + ".join(f"{row['cpu_us'][name]:.1f}" for name in _PROCESSES)
        _text(parts, end + 6, top, told if whole < max(sums) * 0.7 else f"{whole:.1f}", "small")
        top += _BAR + _GAP
    return top


def _heading(parts: list[str], top: int, text: str) -> int:
    parts.append(f'<text class="title" x="8" y="{top + _TITLE - 12}">{escape(text)}</text>')
    return top + _TITLE


def _bar(parts: list[str], top: int, label: str, shares: Iterable[tuple[str, float]]) -> float:
    _text(parts, _LABEL - 8, top, label if len(label) < 46 else f"{label[:44]}…", "", anchor="end")
    left = float(_LABEL)
    for kind, share in shares:
        width = share * _span()
        parts.append(f'<rect class="{kind}" x="{left:.1f}" y="{top}" width="{width:.1f}" height="{_BAR}"/>')
        left += width
    return left


def _text(parts: list[str], x: float, top: int, text: str, kind: str, *, anchor: str = "start") -> None:
    parts.append(f'<text class="{kind}" x="{x:.1f}" y="{top + 13}" text-anchor="{anchor}">{escape(text)}</text>')


def _span() -> int:
    return _WIDTH - _LABEL - _ROOM
