"""From the text of a mapping file to a mapping, or to everything that is wrong with it.

The file is read in three steps: YAML nodes (`syntax`), tables and columns (`tables`, `columns`, `indexes`),
and what has to hold across them (`rules`). The second and third go on after a problem, so that one run
reports all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.core.mapping.model import KeepBson, Mapping
from replicator_service.core.mapping.nodes import Entry, known_keys, map_of, place_of
from replicator_service.core.mapping.privacy import check_privacy, read_patterns
from replicator_service.core.mapping.problems import Problems
from replicator_service.core.mapping.rules import check_rules
from replicator_service.core.mapping.syntax import compose
from replicator_service.core.mapping.tables import read_collections, read_keep_bson

if TYPE_CHECKING:
    import yaml

_KEYS = ("version", "keep_bson", "include", "exclude", "collections")


def load_mapping(text: str | bytes, *, name: str) -> Mapping:
    """Read a mapping file; ``name`` is what messages call it, usually its path.

    :raises MappingError: with every problem at once, each with its line, column, path and fix. Nothing else
        is raised, whatever the text holds.
    """
    node = compose(text, name=name)
    problems = Problems()
    mapping = _read(node, problems)
    problems.raise_if_any(name)
    return mapping


def _read(node: yaml.Node, problems: Problems) -> Mapping:
    fields = map_of(node, (), problems, what="a map with version and collections")
    if fields is None:
        return Mapping()
    known_keys(fields, _KEYS, problems)
    if "version" in fields:
        _check_version(fields["version"], problems)
    else:
        problems.add(place_of(node, ()), "the version of the format is missing", "add `version: 1`")
    keep_bson = read_keep_bson(fields["keep_bson"], problems) if "keep_bson" in fields else None
    collections = read_collections(fields["collections"], problems) if "collections" in fields else ()
    check_rules(collections, problems)
    default = keep_bson or KeepBson.WHEN_NEEDED
    include, exclude = (read_patterns(fields[key], problems) if key in fields else () for key in ("include", "exclude"))
    mapping = Mapping(
        collections=tuple(each.as_typed(default) for each in collections if each.is_typed),
        keep_bson=default,
        document_rules=tuple((each.collection, each.rules.as_rules()) for each in collections if not each.is_typed),
        include=tuple(pattern for pattern, _ in include),
        exclude=tuple(pattern for pattern, _ in exclude),
        acknowledged=tuple((each.collection, path) for each in collections for path in each.rules.acknowledged),
    )
    crosses = {each.collection: mapping.selection.crosses(each.collection) for each in collections}
    check_privacy(collections, include, exclude, crosses, problems)
    return mapping


def _check_version(entry: Entry, problems: Problems) -> None:
    if entry.value.tag != "tag:yaml.org,2002:int" or entry.value.value != "1":
        problems.add(entry.value_place, "the version of the format has to be the number 1", "write `version: 1`")
