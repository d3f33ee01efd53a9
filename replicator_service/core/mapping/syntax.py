"""From the text of a mapping file to YAML nodes with positions. Knows YAML, nothing of mappings.

A file is read within bounds, whatever it holds: its size, the depth of its nesting and the number of nodes
that it has once every alias is written out are limited. YAML stops at its first error, so there is at most
one problem here.
"""

from __future__ import annotations

from typing import cast

import yaml

from replicator_service.core.mapping.problems import MappingError, MappingProblem

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 32
MAX_NODES = 500_000

_EXAMPLE = "start it with `version: 1` and `collections:`"


def compose(text: str | bytes, *, name: str) -> yaml.Node:
    """Read one YAML document. Bytes have to be UTF-8.

    :raises MappingError: the text is not YAML, is empty, holds several documents or passes a bound.
    """
    if len(text) > MAX_BYTES:
        message = f"the file is larger than {MAX_BYTES >> 20} MiB"
        raise _error(name, 1, 1, message, "name only the collections that need columns")
    decoded = _decoded(text, name) if isinstance(text, bytes) else text
    try:
        node = _compose(decoded)
    except yaml.MarkedYAMLError as error:
        raise _marked(error, decoded, name) from None
    except yaml.reader.ReaderError as error:
        line, column = _line_and_column(decoded, error.position)
        message = f"the character U+{ord(decoded[error.position]):04X} cannot stand in a YAML file"
        raise _error(name, line, column, message, "remove it") from None
    except (ValueError, OverflowError):
        # PyYAML lets Python's own errors through for numbers out of range: "\UFFFFFFFF", a long %YAML 1.999.
        message = "an escape or a directive in the file holds a number out of range"
        raise _error(name, 1, 1, message, "remove it") from None
    if node is None:
        raise _error(name, 1, 1, "the file is empty", _EXAMPLE)
    return node


def _compose(text: str) -> yaml.Node | None:
    loader = _BoundedLoader(text)
    try:
        return loader.get_single_node()
    finally:
        loader.dispose()


class _BoundedLoader(yaml.SafeLoader):
    """Composes nodes and counts them, an alias as all that its anchor holds. It constructs no value."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._nodes = 0
        self._sizes: dict[str, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        # The stubs leave this method of PyYAML's parser without types.
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]  # PyYAML has no types
        anchor: str | None = getattr(event, "anchor", None)
        if isinstance(event, yaml.AliasEvent):
            self._count(self._size_of(anchor or "", event), event)
            return super().compose_node(parent, index)
        before = self._nodes
        self._count(1, event)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _refusal(event, f"the nesting is deeper than {MAX_DEPTH} levels", "a mapping needs nine")
        node = super().compose_node(parent, index)
        self._depth -= 1
        if anchor is not None:
            self._sizes[anchor] = self._nodes - before
        return node

    def _size_of(self, anchor: str, alias: yaml.AliasEvent) -> int:
        if anchor in self.anchors and anchor not in self._sizes:
            raise _refusal(alias, "the alias stands inside its own anchor", "write the value out")
        return self._sizes.get(anchor, 0)

    def _count(self, nodes: int, event: yaml.Event) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            message = f"the file has more than {MAX_NODES} nodes, aliases written out"
            raise _refusal(event, message, "use fewer aliases")


class _Refusal(yaml.MarkedYAMLError):
    """One of our own bounds was passed; ``note`` is the fix."""


def _refusal(event: yaml.Event, message: str, fix: str) -> _Refusal:
    return _Refusal(problem=message, problem_mark=cast("yaml.Mark", event.start_mark), note=fix)


def _decoded(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        line, column = _line_and_column(before, len(before))
        message = f"the byte 0x{data[error.start]:02X} is not UTF-8"
        raise _error(name, line, column, message, "save the file as UTF-8") from None


def _marked(error: yaml.MarkedYAMLError, text: str, name: str) -> MappingError:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
    message = error.problem or error.context or "unreadable"
    if isinstance(error, _Refusal):
        return _error(name, line, column, message, error.note or "remove it")
    if error.context and error.problem:
        message = f"{error.problem}, {error.context}"
    lines = text.splitlines()
    source = lines[line - 1] if line <= len(lines) else ""
    return _error(name, line, column, f"this is not YAML: {message}", _fix(message, source))


def _fix(message: str, source: str) -> str:
    """Turn the messages that newcomers meet into something to do."""
    if r"'\t'" in message:
        return "indent with spaces, YAML does not allow tabs"
    if "[]" in source and "flow mapping" in message:
        return 'inside braces quote an array type, as in {path: tags, type: "text[]"}'
    if "mapping values are not allowed" in message:
        return "check the indentation, and quote a name that holds a colon and a space"
    if "another document" in message:
        return "keep one document, without a second ---"
    if "undefined alias" in message:
        return "quote a name that starts with *, or define the anchor before it"
    return "check indentation, colons and quotes in this line and the one above"


def _line_and_column(text: str, position: int) -> tuple[int, int]:
    return text.count("\n", 0, position) + 1, position - (text.rfind("\n", 0, position) + 1) + 1


def _error(name: str, line: int, column: int, message: str, fix: str) -> MappingError:
    return MappingError(name, [MappingProblem(line, column, "", message, fix)])
