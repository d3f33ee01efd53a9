"""What a mapping file says of privacy: which collections cross, which paths are left out or masked, and how."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from replicator_service.core.mapping.columns import divided_path, read_path
from replicator_service.core.mapping.model import ColumnType
from replicator_service.core.mapping.nodes import Entry, is_text, list_of, map_of, place_of, text_of
from replicator_service.core.mapping.problems import Place, Problems, closest, quoted
from replicator_service.core.masking.rules import DATE_UNITS, KEY, Constant, Mask, MaskKind, Path, Rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from replicator_service.core.mapping.tables import ReadCollection

KEYS = ("exclude", "mask", "acknowledge")
"""What a collection may say of privacy."""

_TAG = "tag:yaml.org,2002:"
_FORMS = "hmac, null, {keep_first: 2}, {keep_last: 4}, {truncate: 24}, {truncate: month} or {constant: text}"
_PLAIN = {"hmac": Mask(MaskKind.HMAC), "null": Mask(MaskKind.NULL)}
_MOST_CHARACTERS = 1_000
_ADDRESS_BITS, _ADDRESS6_BITS = 32, 128
_OCTAL = re.compile(r"[-+]?0[0-9_]+")


@dataclass(frozen=True, slots=True)
class ReadRules:
    """The rules of one collection, each path with its place in the file."""

    exclude: tuple[tuple[Path, Place], ...] = ()
    masks: tuple[tuple[Path, Mask, Place], ...] = ()
    acknowledged: tuple[Path, ...] = ()

    def as_rules(self) -> Rules:
        """The model's value."""
        return Rules(tuple(path for path, _ in self.exclude), tuple((path, mask) for path, mask, _ in self.masks))


def read_patterns(entry: Entry, problems: Problems) -> tuple[tuple[str, Place], ...]:
    """Read a list of collections' names, which may hold ``*`` and ``?``."""
    items = list_of(entry.value, entry.path, problems, what="a list of collections") or []
    found = [(text_of(item.value, item.path, problems, what="a collection's name"), item.place) for item in items]
    for text, place in found:
        if text == "":
            problems.add(place, "the collection's name is empty", "write its name, or a pattern such as audit_*")
    return tuple((text, place) for text, place in found if text)


def read_rules(fields: Mapping[str, Entry], problems: Problems) -> ReadRules:
    """Read what a collection says of privacy."""
    paths = _paths(fields["exclude"], problems) if "exclude" in fields else ()
    exclude = tuple((path, place) for path, place in paths if _is_no_key(path, place, problems, "excluded"))
    masks = tuple(_masks(fields["mask"], problems)) if "mask" in fields else ()
    acknowledged = tuple(path for path, _ in _paths(fields["acknowledge"], problems)) if "acknowledge" in fields else ()
    _check_disjoint([*exclude, *((path, place) for path, _, place in masks)], problems)
    return ReadRules(exclude, masks, acknowledged)


def check_privacy(
    collections: Iterable[ReadCollection],
    include: Sequence[tuple[str, Place]],
    exclude: Sequence[tuple[str, Place]],
    crosses: Mapping[str, bool],
    problems: Problems,
) -> None:
    """Note what of these rules does not go with the tables."""
    for pattern, place in exclude:
        if pattern in dict(include):
            problems.add(place, f"{quoted(pattern)} is included and excluded", "remove it from one of the lists")
    for each in collections:
        if not crosses[each.collection]:
            message = (
                f"the collection {quoted(each.collection)} is not replicated, and the file has its tables or rules"
            )
            problems.add(each.place, message, "add it to include, or take it out of exclude, or remove it here")
        for path, mask, place in each.rules.masks:
            _check_tables(each, path, mask, place, problems)
        for path, place in each.rules.exclude:
            _check_filled(each, path, place, problems)


def _check_tables(each: ReadCollection, path: Path, mask: Mask, place: Place, problems: Problems) -> None:
    for child in each.children:
        if path == child.path[: len(path)]:
            message = f"{_shown(path)} is the array of the child table {child.name}, or holds it: rows are no value"
            problems.add(place, message, f"mask fields of its elements, as {_shown((*path, 'field'))}, or exclude it")
    for column_path, type_ in _columns(each):
        if path == KEY and column_path[:1] == KEY != column_path:
            message = f"_id is masked, and a column takes a part of it, {_shown(column_path)}: what is left is one text"
            problems.add(place, message, "remove the column, or the mask")
            continue
        if path == column_path and type_ not in _types_of(mask):
            message = f"{mask.kind} gives no {type_.value}, which is the type of its column"
            problems.add(place, message, f"let the column be {_types_of(mask)[0].value}, or choose another mask")


def _check_filled(each: ReadCollection, path: Path, place: Place, problems: Problems) -> None:
    taken = [(child.path, f"the child table {child.name}") for child in each.children]
    taken += [(column, "a column") for column, _ in _columns(each)]
    for other, what in taken:
        if path == other[: len(path)]:
            message = f"{_shown(path)} is excluded, and {what} takes it"
            problems.add(place, message, "remove one of the two")
            return


def _columns(each: ReadCollection) -> Iterator[tuple[Path, ColumnType]]:
    """Every column with its path from the document."""
    for read in each.table.columns:
        yield read.column.path, read.column.type
    for child in each.children:
        for read in child.columns:
            yield (
                read.column.path if read.column.from_parent else (*child.path, *read.column.path),
                read.column.type,
            )


_TEXTS = (ColumnType.TEXT, ColumnType.JSONB, ColumnType.TEXT_ARRAY, ColumnType.JSONB_ARRAY)
_DATES = (ColumnType.TIMESTAMPTZ, ColumnType.TIMESTAMPTZ_ARRAY)
_NUMBERS = (ColumnType.INTEGER, ColumnType.BIGINT, ColumnType.NUMERIC, ColumnType.DOUBLE_PRECISION)


def _types_of(mask: Mask) -> tuple[ColumnType, ...]:
    """The types of columns that can take what a mask gives, the best first."""
    if mask.kind is MaskKind.NULL:
        return tuple(ColumnType)
    if mask.kind is MaskKind.TRUNCATE_DATE:
        return (*_DATES, *_TEXTS)
    if mask.kind is not MaskKind.CONSTANT or isinstance(mask.constant, str):
        return _TEXTS
    if isinstance(mask.constant, bool):
        return (ColumnType.BOOLEAN, *_TEXTS)
    return (*_NUMBERS, *_TEXTS)


def _paths(entry: Entry, problems: Problems) -> Iterator[tuple[Path, Place]]:
    for item in list_of(entry.value, entry.path, problems, what="a list of paths") or []:
        path = read_path(item, problems)
        if path is not None:
            yield path, item.place


def _masks(entry: Entry, problems: Problems) -> Iterator[tuple[Path, Mask, Place]]:
    for item in (map_of(entry.value, entry.path, problems, what="a map of paths and masks") or {}).values():
        path = divided_path(item.key, item.place, problems)
        mask = _mask(item, problems)
        if path is None or mask is None:
            continue
        if (path == KEY and mask.kind is MaskKind.HMAC) or _is_no_key(path, item.place, problems, "masked"):
            yield path, mask, item.place


def _is_no_key(path: Path, place: Place, problems: Problems, what: str) -> bool:
    if path[:1] != KEY:
        return True
    if len(path) > 1:
        message = f"a part of _id cannot be {what}: rows of different documents could get the same key"
    else:
        message = f"_id cannot be {what} so: rows of different documents would get the same key, or none"
    problems.add(place, message, "mask _id as a whole with hmac, which keeps keys distinct")
    return False


def _mask(entry: Entry, problems: Problems) -> Mask | None:
    node = entry.value
    if isinstance(node, yaml.ScalarNode) and node.tag == f"{_TAG}null":
        return _PLAIN["null"]
    if is_text(node):
        mask = _PLAIN.get(node.value)
        if mask is None:
            _unknown(entry, node.value, problems)
        return mask
    fields = map_of(node, entry.path, problems, what=f"a mask: {_FORMS}")
    if fields is None:
        return None
    if len(fields) != 1:
        problems.add(entry.value_place, "a mask has one name", f"write one of {_FORMS}")
        return None
    ((name, value),) = fields.items()
    match name:
        case "keep_first" | "keep_last":
            count = _whole(value, 1, _MOST_CHARACTERS, "characters", problems)
            return None if count is None else Mask(MaskKind(name), count)
        case "truncate":
            return _truncate(value, problems)
        case "constant":
            return _constant(value, problems)
        case _:
            _unknown(value, name, problems)
            return None


def _unknown(entry: Entry, name: str, problems: Problems) -> None:
    meant = closest(name, ("hmac", "null", "keep_first", "keep_last", "truncate", "constant"))
    problems.add(entry.place, f"unknown mask {quoted(name)}", f"did you mean {meant}?" if meant else f"write {_FORMS}")


def _truncate(entry: Entry, problems: Problems) -> Mask | None:
    if is_text(entry.value):
        if entry.value.value in DATE_UNITS:
            return Mask(MaskKind.TRUNCATE_DATE, unit=entry.value.value)
        problems.add(entry.value_place, f"unknown unit {quoted(entry.value.value)}", f"write {', '.join(DATE_UNITS)}")
        return None
    if not isinstance(entry.value, yaml.MappingNode):
        bits = _whole(entry, 0, _ADDRESS_BITS, "bits of an IPv4 address", problems)
        return None if bits is None else Mask(MaskKind.TRUNCATE_IP, bits, min(2 * bits, _ADDRESS6_BITS))
    fields = map_of(entry.value, entry.path, problems, what="a map with ipv4 and ipv6") or {}
    if set(fields) != {"ipv4", "ipv6"}:
        problems.add(entry.value_place, "the bits of both are needed", "write {ipv4: 24, ipv6: 48}")
        return None
    bits = _whole(fields["ipv4"], 0, _ADDRESS_BITS, "bits", problems)
    bits6 = _whole(fields["ipv6"], 0, _ADDRESS6_BITS, "bits", problems)
    return None if bits is None or bits6 is None else Mask(MaskKind.TRUNCATE_IP, bits, bits6)


def _whole(entry: Entry, least: int, most: int, what: str, problems: Problems) -> int | None:
    node = entry.value
    if isinstance(node, yaml.ScalarNode) and node.tag == f"{_TAG}int" and node.value.isascii() and node.value.isdigit():
        number = int(node.value[:10])
        # With a zero before it, 010 is 8 in YAML 1.1 and 10 in YAML 1.2.
        if least <= number <= most and node.value == str(number):
            return number
    problems.add(place_of(node, entry.path), f"expected a number of {what}", f"write one from {least} to {most}")
    return None


def _constant(entry: Entry, problems: Problems) -> Mask | None:
    node = entry.value
    value: Constant | None = None
    if is_text(node):
        value = text_of(node, entry.path, problems, what="a text")
    elif node.tag == f"{_TAG}int" and _OCTAL.fullmatch(node.value):
        problems.add(
            entry.value_place,
            "the number begins with 0, and readers of YAML differ in what it is",
            "write it in quotes",
        )
        return None
    elif isinstance(node, yaml.ScalarNode):
        value = _other_constant(node)
    if value is None:
        problems.add(entry.value_place, "a constant is a text, a number or a boolean", "write {constant: hidden}")
        return None
    return Mask(MaskKind.CONSTANT, constant=value)


def _other_constant(node: yaml.ScalarNode) -> Constant | None:
    if node.tag == f"{_TAG}bool":
        return bool(node.value.lower() in {"true", "yes", "on"})
    try:
        if node.tag == f"{_TAG}int":
            number = int(node.value)
            return number if -(2**63) <= number < 2**63 else None
        return float(node.value) if node.tag == f"{_TAG}float" else None
    except ValueError:
        return None


def _check_disjoint(paths: Sequence[tuple[Path, Place]], problems: Problems) -> None:
    """One field has one rule, and none has one inside what another leaves out or masks."""
    seen: dict[Path, Place] = {}
    for path, place in paths:
        for other, first in seen.items():
            length = min(len(path), len(other))
            if path[:length] == other[:length]:
                message = f"{_shown(path)}, or a part of it, has a rule in line {first.line} already"
                problems.add(place, message, "keep one of them")
                break
        seen.setdefault(path, place)


def _shown(path: Path) -> str:
    return quoted(".".join(path))
