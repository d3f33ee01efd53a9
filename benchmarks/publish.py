# ruff: noqa: RUF001 - a sentence of the Russian README
"""Writes the numbers of runs into the documentation: ``python -m benchmarks.publish RESULTS.json [PEERS.json]``.

Every number of a benchmark in the documents stands between ``<!-- bench: NAME -->`` and ``<!-- /bench -->``, with the
command that gave it. A block whose rows were not measured stays as it is, and is named.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.picture import picture
from benchmarks.report import number

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Plain = dict[str, Any]

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "pictures" / "bench.svg"
PAGES = ("README.md", "README.ru.md", "docs/explanation/performance.md", "docs/explanation/comparison.md")

_BLOCK = re.compile(r"(<!-- bench: (?P<name>[\w-]+) -->\n).*?(<!-- /bench -->)", re.DOTALL)
_BESIDE = "beside peers"


def main(paths: Sequence[str]) -> None:
    """Write the picture and every block."""
    runs = [json.loads(Path(path).read_text(encoding="utf-8")) for path in paths]
    rows = [row for run in runs for row in run["rows"]]
    print(f"wrote {_written(PICTURE, picture(rows, _taken(runs)))}")
    for name in PAGES:
        page = ROOT / name
        text = page.read_text(encoding="utf-8")
        print(f"wrote {_written(page, _BLOCK.sub(lambda found: _filled(found, rows, runs), text))}")


def _written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path.relative_to(ROOT)


def _filled(found: re.Match[str], rows: Sequence[Plain], runs: Sequence[Plain]) -> str:
    try:
        body = BLOCKS[found["name"]](rows, runs)
    except KeyError as missing:
        print(f"left {found['name']}: not measured: {missing}")
        return found[0]
    return f"{found[1]}{body}{found[3]}"


def _row(rows: Sequence[Plain], section: str, name: str) -> Plain:
    for row in rows:
        if (row["section"], row["name"]) == (section, name):
            return row
    raise KeyError(f"{section}: {name}")


def _verdicts(rows: Sequence[Plain], runs: Sequence[Plain]) -> str:
    lines = ["", "| what | median | range | must | goal | |", "|---|---|---|---|---|---|"]
    for row in rows:
        if "must" in row:
            sign = "≤" if row["at_most"] else "≥"
            bounds = " | ".join(f"{sign} {row[each]:g}" for each in ("must", "goal"))
            value = f"{number(row['median'])} {row['unit']}".strip()
            lines.append(f"| {row['section']}: {row['name']} | {value} | {_range(row)} | {bounds} | {row['verdict']} |")
    return "\n".join([*lines, "", _command(runs), ""])


def _everything(rows: Sequence[Plain], runs: Sequence[Plain]) -> str:
    lines = ["", "| what | median | range | µs of the service, mongod, PostgreSQL |", "|---|---|---|---|"]
    for row in rows:
        if "must" not in row and not row["section"].startswith(_BESIDE):
            costs = " · ".join(number(each) for each in row.get("cpu_us", {}).values())
            value = f"{number(row['median'])} {row['unit']}".strip()
            lines.append(f"| {row['section']}: {row['name']} | {value} | {_range(row)} | {costs} |")
    return "\n".join([*lines, "", _command(runs), ""])


def _peers(rows: Sequence[Plain], runs: Sequence[Plain]) -> str:
    beside = [row for row in rows if row["section"].startswith(_BESIDE)]
    if not beside:
        raise KeyError(_BESIDE)
    lines = ["", "| what | who | median | range |", "|---|---|---|---|"]
    for row in beside:
        section = row["section"].removeprefix(f"{_BESIDE}: ")
        value = f"{number(row['median'])} {row['unit']}".strip()
        lines.append(f"| {section} | {row['name']} | {value} | {_range(row)} |")
    left = [each for run in runs for each in run["left_out"]]
    lines += ["", *(f"Left out: {each}." for each in left)] if left else []
    return "\n".join([*lines, "", _command(runs), ""])


def _summary(rows: Sequence[Plain], _runs: Sequence[Plain]) -> str:
    rate = round(_row(rows, "catch-up", "service, shop mapping")["median"], -3)
    delay = _row(rows, "latency at 500 writes/s", "p50, acknowledged → visible")["median"]
    return (
        f"On two cores shared with both servers it catches up at {rate:,.0f} changes a second, and shows a change\n"
        f"after {delay:.1f} ms (p50).\n"
    )


def _summary_ru(rows: Sequence[Plain], _runs: Sequence[Plain]) -> str:
    rate = f"{round(_row(rows, 'catch-up', 'service, shop mapping')['median'], -3):,.0f}".replace(",", "\u00a0")
    delay = _row(rows, "latency at 500 writes/s", "p50, acknowledged → visible")["median"]
    return (
        f"На двух ядрах, общих с обоими серверами, догоняет со скоростью {rate} изменений в секунду и показывает\n"
        f"изменение через {delay:.1f} мс (p50).\n"
    )


def _range(row: Plain) -> str:
    return f"{number(row['lowest'])} … {number(row['highest'])}" if len(row["values"]) > 1 else ""


def _command(runs: Sequence[Plain]) -> str:
    return "\n".join(f"`{run['command']}`: {_taken([run])}." for run in runs)


def _taken(runs: Sequence[Plain]) -> str:
    return "; ".join(
        f"{run['taken']}, {run['processors']} processors, {run['system']}, scale {run['scale']:g}, "
        f"{run['rounds']} rounds, load average {run['load_average_at_the_end']:g}"
        for run in runs
    )


BLOCKS: dict[str, Callable[[Sequence[Plain], Sequence[Plain]], str]] = {
    "verdicts": _verdicts,
    "everything": _everything,
    "peers": _peers,
    "summary": _summary,
    "summary-ru": _summary_ru,
}

if __name__ == "__main__":
    main(sys.argv[1:])
