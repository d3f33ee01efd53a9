"""What is said about a proposed column: kinds of values, how often there is none, what to consider. No values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.core.bson import constants, containers, dates, deprecated, ids, numbers, text
from replicator_service.core.mapping.model import ColumnType

if TYPE_CHECKING:
    from replicator_service.core.mapping.inference.choice import OneColumn
    from replicator_service.core.mapping.inference.shape import Shape


_READ_AS_THEY_ARE = frozenset({text.STRING.name, ids.OBJECT_ID.name, deprecated.SYMBOL.name})


def share(part: int, whole: int) -> str:
    """Return a share for people: never 0 or 100 percent when it is not exactly that."""
    percent = 100 * part / whole
    if 0 < percent < 0.1:
        return "<0.1 %"
    if 99.9 < percent < 100:
        return ">99.9 %"
    is_rough = percent >= 10 and (percent <= 99 or percent == 100)
    return f"{percent:.0f} %" if is_rough else f"{percent:.1f} %"


def note_of(shape: Shape, rows: int, landing: OneColumn) -> str:
    """Describe what a column holds, in a table of which ``rows`` rows were seen."""
    parts = [_kinds(shape, landing)]
    if shape.count < rows:
        parts.append(f"missing in {share(rows - shape.count, rows)}")
    if shape.kinds[constants.NULL.name]:
        parts.append(f"null in {share(shape.kinds[constants.NULL.name], rows)}")
    advice = _advice(shape, landing.type)
    if advice:
        parts.append(advice)
    return "; ".join(parts)


def kinds_text(shape: Shape) -> str:
    """Name the kinds of values, with their shares when there are several; null counts only within arrays."""
    counted = [(kind, count) for kind, count in shape.kinds.most_common() if kind != constants.NULL.name]
    if len(counted) == 1:
        return counted[0][0]
    total = sum(count for _, count in counted)
    return ", ".join(f"{kind} {share(count, total)}" for kind, count in counted)


def _holds_tagged(shape: Shape, type_: ColumnType) -> bool:
    values = shape if type_ is ColumnType.TEXT else shape.elements if type_ is ColumnType.TEXT_ARRAY else None
    return values is not None and not values.without_null <= _READ_AS_THEY_ARE


def _kinds(shape: Shape, landing: OneColumn) -> str:
    kinds = shape.without_null
    if kinds == {containers.ARRAY.name} and shape.elements is not None:
        inner = kinds_text(shape.elements)
        is_mixed = landing.type is ColumnType.JSONB and len(shape.elements.without_null) > 1
        text = f"array of mixed {inner}" if is_mixed else f"array of {inner}"
        if shape.elements.kinds[constants.NULL.name] and not landing.remark:
            text += " and null"
    else:
        is_mixed = landing.type is ColumnType.JSONB and len(kinds) > 1
        text = f"mixed: {kinds_text(shape)}" if is_mixed else kinds_text(shape)
    return f"{text} {landing.remark}" if landing.remark else text


def _advice(shape: Shape, type_: ColumnType) -> str:
    kinds = shape.without_null
    if _holds_tagged(shape, type_):
        return "what is no string reads as in _id, like $number:1"
    if type_ is ColumnType.TEXT and kinds == {text.STRING.name} and ColumnType.UUID in shape.fitting:
        return "all are UUIDs, so uuid would do"
    if type_ is ColumnType.DOUBLE_PRECISION and ColumnType.BIGINT in shape.fitting:
        return "all are whole, so bigint would do"
    if type_ is ColumnType.BIGINT and kinds == {numbers.INT32.name}:
        # A key is given more room than its values take (proposal.place_key).
        return "some are near the limit of integer" if shape.has_large_integers else "keys grow"
    if type_ is ColumnType.NUMERIC and numbers.DECIMAL.name not in kinds:
        return "some int64 are too large for double precision"
    if type_ is ColumnType.JSONB and kinds == {dates.DATE.name}:
        return "some are outside the calendar of timestamptz"
    return ""
