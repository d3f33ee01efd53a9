"""The numbers of a status, a line each: how late, how much, how long it may be away, what is wrong, how fresh."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from replicator_service.cli.sparkline import ASCII, BLOCKS, condensed, sparkline
from replicator_service.core.words import counted, spelled

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]
Series = Mapping[str, Sequence[float | None]]
"""The samples of the last minutes by what they measure, see ``/history``."""

_LABEL = 14
_VALUE = 15
_GROUP = 5
"""Seconds in one character of a chart."""


def status_lines(found: Json, series: Series, next_sample: int, width: int, *, is_ascii: bool) -> Table:
    """A line for each number: its name, its value, and a chart or a note in what is left of ``width``."""
    table = Table.grid(padding=(0, 1))
    table.add_column(min_width=_LABEL, style="dim", no_wrap=True)
    table.add_column(min_width=_VALUE, no_wrap=True)
    table.add_column(overflow="ellipsis", no_wrap=True)
    chart = max(10, min(60, width - _LABEL - _VALUE - 16))

    def line(name: str, unit: str) -> Text:
        values = condensed(series.get(name, ()), end=next_sample, each=_GROUP, width=chart)
        known = [value for value in values if value is not None]
        if not known:
            return Text()
        drawn = sparkline(values, levels=ASCII if is_ascii else BLOCKS)
        return Text.assemble((drawn, "cyan"), (f" top {short(max(known))}{unit}", "dim"))

    table.add_row("lag", _lag(found.get("lag_seconds")), line("lag_seconds", " s"))
    table.add_row("changes", _rate(found), line("events_per_second", "/s"))
    table.add_row("oplog headroom", *_headroom(found))
    for label, value, note in _indexes(found):
        table.add_row(label, value, note)
    table.add_row("dead letters", *_dead_letters(found))
    table.add_row("reconciled", *_reconciled(found))
    for label, value, note in _marts(found):
        table.add_row(label, value, note)
    return table


def short(value: float) -> str:
    """A number as one reads it in a table."""
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def _lag(seconds: float | None) -> Text:
    if seconds is None:
        return Text("unknown", "yellow")
    return Text(f"{seconds:.0f} s" if seconds < 120 else spelled(seconds), "red" if seconds > 120 else "")


def _rate(found: Json) -> Text:
    if found.get("role") != "leader":
        return Text("unknown here", "dim")
    rates = [each.get("events_per_second") or 0.0 for each in found["collections"].values()]
    return Text(f"{short(sum(rates))}/s")


def _headroom(found: Json) -> tuple[Text, Text]:
    seconds = found.get("oplog_headroom_seconds")
    if seconds is None:
        return Text("unknown", "dim"), Text()
    note = "MongoDB still has its whole history" if found.get("oplog_is_whole") else ""
    is_short = seconds < 3_600 and not note
    return Text("lost" if seconds < 0 else spelled(seconds), "red" if is_short else ""), Text(note, "dim")


def _indexes(found: Json) -> Iterator[tuple[str, Text, Text]]:
    """Those of the mapping that are not there yet; no line when all are."""
    missing = found.get("indexes") or []
    if not missing:
        return
    building = next((each for each in missing if each["state"] == "building"), None)
    failed = next((each for each in missing if each["state"] == "failed"), None)
    value, note = Text(f"{len(missing):,} to make"), Text()
    if failed is not None:
        value.stylize("yellow")
        note = Text(f"{_index(failed)} failed: {failed['error']}", "yellow", overflow="ellipsis")
    elif building is not None:
        share = building.get("progress")
        note = Text(f"{_index(building)}{'' if share is None else f', {int(share * 100)} %'}", "dim")
    yield "indexes", value, note


def _index(each: Json) -> str:
    return f"{each['table']} ({', '.join(each['columns'])})"


def _dead_letters(found: Json) -> tuple[Text, Text]:
    count = found.get("dead_letters") or 0
    reasons = found.get("dead_letter_reasons") or []
    note = f"{reasons[0]['collection']}: {' '.join(str(reasons[0]['reason']).split())}" if reasons else ""
    return Text(f"{count:,}", "yellow" if count else ""), Text(note, "dim", overflow="ellipsis")


def _reconciled(found: Json) -> tuple[Text, Text]:
    last = found.get("last_reconciliation")
    if last is None:
        return Text("never", "dim"), Text()
    left = last["outstanding"]
    ago = Text(_ago(last["at"], found))
    compared, collections = last.get("compared", 0), last.get("collections", 0)
    among = f" in {compared:,} of {collections:,} collections" if compared < collections else ""
    if left:
        return ago, Text(f"{counted(left, 'difference')} {'remains' if left == 1 else 'remain'}{among}", "red")
    repaired = f", {last['repaired']:,} repaired" if last["repaired"] else ""
    told = f"no differences in {counted(last['documents'], 'document')}{among}{repaired}"
    return ago, Text(told, "yellow" if among else "dim")


def _marts(found: Json) -> Iterator[tuple[str, Text, Text]]:
    for number, (name, mart) in enumerate((found.get("marts") or {}).items()):
        yield (
            "" if number else "marts",
            Text(_ago(mart["as_of"], found)),
            Text(f"{name}, {counted(mart['rows'], 'row')}", "dim"),
        )


def _ago(time: str, found: Json) -> str:
    now = datetime.fromisoformat(found["time"]) if found.get("time") else datetime.now(UTC)
    return f"{spelled(max(0.0, (now - datetime.fromisoformat(time)).total_seconds()))} ago"
