"""Where each BSON value goes, found out by asking the code: ``docs/reference/types.md`` is what `page` returns."""

from __future__ import annotations

from pathlib import Path

from replicator_service.core.bson import TYPES
from replicator_service.core.bson.marks import unmarked
from replicator_service.core.codec.columns import SCALARS
from replicator_service.core.codec.extjson import relaxed
from replicator_service.core.codec.key import encode_key
from replicator_service.core.mapping.model import ColumnType

SAMPLES = tuple(sample for each in TYPES for sample in each.samples)

_HEAD = Path(__file__).with_name("types_page.md")
_ELSEWHERE = "·"


def page() -> str:
    """Return the whole page."""
    head = _HEAD.read_text(encoding="utf-8")
    return f"{head}\n{_json_table()}\n## Typed columns\n\n{_column_rules()}\n{_column_table()}"


def _json_table() -> str:
    rows = ["| BSON | as JSON | as `_id` |", "|---|---|---|"]
    for sample in SAMPLES:
        key = sample.value if sample.key is ... else sample.key
        text = "MongoDB refuses it" if key is None and sample.value is not None else _code(encode_key(key))
        rows.append(f"| {sample.name} | {_code(relaxed(sample.value))} | {text} |")
    return "\n".join(rows) + "\n"


def _column_rules() -> str:
    return (
        "A value fits a column when the column then equals it. The table shows what an example becomes; "
        f"`{_ELSEWHERE}` means that it\ndoes not fit: the column is null and the value is in `_extra`, "
        "as in the table above. Every value but null fits `jsonb`.\n"
    )


def _column_table() -> str:
    types = [each for each in SCALARS if each is not ColumnType.JSONB]
    rows = [f"| BSON | {' | '.join(types)} |", "|---" * (len(types) + 1) + "|"]
    for sample in SAMPLES:
        if sample.value is None:
            cells = ["null"] * len(types)
        else:
            texts = (SCALARS[each](sample.value) for each in types)
            cells = [_ELSEWHERE if text is None else _code(unmarked(text)) for text in texts]
        rows.append(f"| {sample.name} | {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def _code(text: str) -> str:
    return "`` ` ``" if text == "`" else f"`{text}`"
