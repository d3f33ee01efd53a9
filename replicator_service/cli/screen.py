"""The status as a screen of text: what matters first, and no taller than the terminal.

Made from the JSON of ``/status`` alone. Words of other people (names, reasons) are text, never markup.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from replicator_service.cli.status_lines import short, status_lines
from replicator_service.core.words import spelled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

    from replicator_service.cli.status_lines import Series

Json = dict[str, Any]

COLOURS = {
    "streaming": "green",
    "snapshotting": "cyan",
    "converging": "cyan",
    "starting": "cyan",
    "paused": "yellow",
    "waiting": "red",
    "resync_required": "red",
    "failed": "red",
    "stopped": "red",
}
SEVERITIES = {"critical": "red", "warning": "yellow", "info": "cyan"}

_BAR = 10
_NOTICES = 3
_LEAST_ROWS = 3
"""So many collections are shown however low the terminal is."""


@dataclass(frozen=True, slots=True)
class Screen:
    """Everything at once; with ``fits``, as much of it as the terminal is high."""

    status: Json
    series: Series = field(default_factory=dict)
    next_sample: int = 0
    footer: str = ""
    fits: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """As the library asks for it."""
        # What the library passes as a height does not reach what is inside of something else.
        width, height = options.max_width, console.size.height if self.fits else None
        is_ascii = options.ascii_only
        notices = self.status.get("notices") or []
        shown = notices if height is None else notices[: max(1, min(_NOTICES, (height - 16) // 5))]
        meaning = Text(self.status.get("meaning") or "", "dim")
        head: list[RenderableType] = [self._title(width, is_ascii=is_ascii), meaning, Text()]
        head += [
            status_lines(self.status, self.series, self.next_sample, width, is_ascii=is_ascii),
            *_notices(shown, len(notices) - len(shown)),
            Text(),
        ]
        tail: list[RenderableType] = []
        if unsupported := self.status.get("unsupported_collections"):
            tail.append(_unsupported(unsupported))
        if self.footer:
            tail.append(Text(f"\n{self.footer}", "dim"))
        above = Group(*head)
        room = None
        if height is not None:
            used = len(console.render_lines(Group(above, *tail), options, pad=False))
            # Two lines for the table's head and for how many are left out.
            room = max(_LEAST_ROWS, height - used - 2)
        yield above
        yield from _collections(self.status.get("collections") or {}, room, width, is_ascii=is_ascii)
        yield from tail

    def _title(self, width: int, *, is_ascii: bool) -> Table:
        found = self.status
        state = found["state"]
        left = Text.assemble(
            (str(found["stream"]), "bold"), "  ", ("* " if is_ascii else "● ", COLOURS.get(state, "white"))
        )
        left.append(state.replace("_", " "), f"bold {COLOURS.get(state, 'white')}")
        right = "  ".join(filter(None, [found.get("role"), found.get("version"), _clock(found.get("time"))]))
        title = Table.grid(expand=True)
        title.width = min(width, 110)
        title.add_column()
        title.add_column(justify="right", no_wrap=True)
        title.add_row(left, Text(right, "dim"))
        return title


def _notices(notices: Sequence[Json], left: int) -> list[RenderableType]:
    parts: list[RenderableType] = []
    for each in notices:
        table = Table.grid(padding=(0, 1))
        table.add_column(width=1)
        table.add_column(overflow="fold")
        table.add_row(Text("!", f"bold {SEVERITIES.get(each['severity'], '')}"), Text(each["message"]))
        table.add_row("", Text(each["hint"], "dim"))
        if each.get("command"):
            table.add_row("", Text(f"$ {each['command']}", "bold"))
        parts += [Text(), table]
    if left > 0:
        parts.append(Text(f"  and {left} more: see the page, or --json", "dim"))
    return parts


def _collections(found: Json, room: int | None, width: int, *, is_ascii: bool) -> RenderResult:
    """What needs a look comes first when not all fit; otherwise they are in the order of their names."""
    if not found:
        yield Text("no collections yet", "dim")
        return
    names = list(found)
    if room is not None and len(names) > room:
        names.sort(key=lambda name: (found[name]["state"] == "streaming" and not found[name]["dead_letters"], name))
        names = names[:room]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("collection", no_wrap=True, overflow="ellipsis", max_width=max(12, width - 58))
    table.add_column("state", no_wrap=True)
    table.add_column("rows", justify="right", no_wrap=True)
    table.add_column("changes/s", justify="right", no_wrap=True)
    table.add_column("snapshot", no_wrap=True)
    table.add_column("dead", justify="right", no_wrap=True)
    for name in names:
        each = found[name]
        dead = each["dead_letters"]
        table.add_row(
            Text(name),
            Text(
                each["state"].replace("_", " "),
                "" if each["state"] == "streaming" else COLOURS.get(each["state"], "dim"),
            ),
            f"{each['rows']:,}",
            short(each.get("events_per_second") or 0.0),
            _progress(each["snapshot_progress"], is_ascii=is_ascii) + _speed(each),
            Text(f"{dead:,}" if dead else "", "yellow"),
        )
    yield table
    if len(names) < len(found):
        yield Text(f"and {len(found) - len(names):,} more, all of them with --json", "dim")


def _progress(share: float | None, *, is_ascii: bool) -> Text:
    if share is None:
        return Text("waiting", "dim")
    if share >= 1:
        return Text("complete", "dim")
    done = int(share * _BAR)
    full, empty = ("#", ".") if is_ascii else ("█", "░")
    return Text(f"{full * done}{empty * (_BAR - done)} {int(share * 100):>2} %", "cyan")


def _speed(each: Json) -> Text:
    """How fast a collection is read, and how long that still takes."""
    rate, left = each.get("snapshot_documents_per_second"), each.get("snapshot_seconds_left")
    if each["state"] != "snapshotting" or not rate:
        return Text()
    told = f" {short(rate)}/s"
    if size := each.get("snapshot_bytes_per_second"):
        told += f", {size / 1e6:.1f} MB/s"
    return Text(told + (f", {spelled(left)} left" if left is not None else ""), "dim")


def _unsupported(found: Mapping[str, str]) -> Text:
    named = ", ".join(f"{name} ({kind})" for name, kind in found.items())
    return Text(f"without change events, so not replicated: {named}", "yellow")


def _clock(time: str | None) -> str:
    return "" if time is None else datetime.fromisoformat(time).astimezone(UTC).strftime("%H:%M:%SZ")
