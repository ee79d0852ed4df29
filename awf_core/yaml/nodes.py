"""YAML text as a tree of nodes, read as the original tool's YAML library reads it.

Called by the reader of the configuration and by the readers of workflow files. It keeps every scalar's text and line,
and resolves nothing: what a scalar means depends on who reads it (`scalars.py`, `lang/yaml_decode.py`).

Only the first document counts. Size, nesting and alias expansion are bounded, because a file may come from an untrusted
producer; the nesting limit also keeps the parser, whose cost grows with the square of the depth, fast.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from yaml._yaml import CParser
from yaml.error import MarkedYAMLError, YAMLError
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamStartEvent,
)
from yaml.reader import ReaderError
from yaml.scanner import ScannerError

if TYPE_CHECKING:
    from yaml._yaml import Mark as CMark
    from yaml.error import Mark
    from yaml.events import Event

MAX_DEPTH = 100
MAX_NODES = 200_000
"""Nodes of a document with every alias counted as often as it is used."""

Kind = Literal["scalar", "seq", "map"]
_TAG_PREFIX = "tag:yaml.org,2002:"


class YamlError(Exception):
    """A text that is no usable YAML.

    text     in the original tool's words; it begins with `yaml: `
    reason   in the words of this project
    line     1-based, 0 when unknown
    """

    def __init__(self, text: str, *, line: int = 0, reason: str = "") -> None:
        super().__init__(f"yaml: {text}")
        self.text = f"yaml: {text}"
        self.reason = reason or text
        self.line = line


class Node:
    """A scalar, list or mapping of the document. Shared where an alias used it; not changed once read.

    `children` holds the items of a list; key, value, key, value, … of a mapping. `tag` is short (`!!int`), empty when
    none was written. `size` and `height` count the whole subtree, aliases included.
    """

    __slots__ = ("children", "height", "kind", "line", "plain", "size", "tag", "value")

    def __init__(self, kind: Kind, tag: str, line: int, *, value: str = "", plain: bool = False) -> None:
        self.kind = kind
        self.tag = tag
        self.line = line
        self.value = value
        self.plain = plain
        self.children: list[Node] = []
        self.size = 0
        self.height = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicate:
    """A key that stands twice in one mapping, at `line` for the second time."""

    key: str
    line: int
    first_line: int


def read_nodes(data: bytes | str, *, max_nodes: int = MAX_NODES) -> tuple[Node | None, list[Duplicate]]:
    """The root of the first document, None when there is none, and its duplicate keys. Raises YamlError."""
    composer = _Composer(max_nodes)
    try:
        return composer.compose(data), composer.duplicates
    except YAMLError as error:
        raise _syntax_error(error) from error


def pairs(node: Node) -> list[tuple[Node, Node]]:
    """Keys and values of a mapping, merge keys (`<<`) worked in: what is written out wins, then the earlier merge."""
    own: list[tuple[Node, Node]] = []
    merged: list[Node] = []
    for key, value in zip(node.children[::2], node.children[1::2], strict=True):
        if _is_merge(key):
            merged.extend(value.children if value.kind == "seq" else (value,))
        else:
            own.append((key, value))
    taken = {(key.kind, key.value) for key, _ in own}
    for source in merged:
        if source.kind != "map":
            text = "map merge requires map or sequence of maps as the value"
            raise YamlError(text, line=source.line, reason="`<<` merges mappings only")
        for key, value in pairs(source):
            if (key.kind, key.value) not in taken:
                taken.add((key.kind, key.value))
                own.append((key, value))
    return own


def _is_merge(key: Node) -> bool:
    return key.kind == "scalar" and key.value == "<<" and (key.tag == "!!merge" or (key.plain and not key.tag))


class _Composer:
    """Builds nodes from parser events with a stack of its own, so that no document can exhaust the interpreter's."""

    def __init__(self, max_nodes: int) -> None:
        self.duplicates: list[Duplicate] = []
        self._max_nodes = max_nodes
        self._anchors: dict[str, Node] = {}
        self._open: list[Node] = []
        self._root: Node | None = None
        self._count = 0

    def compose(self, data: bytes | str) -> Node | None:
        parser = CParser(data)
        try:
            while parser.check_event():
                event = parser.get_event()
                if event is None or isinstance(event, DocumentEndEvent):
                    break
                if not isinstance(event, (StreamStartEvent, DocumentStartEvent)):
                    self._take(event)
        finally:
            parser.dispose()
        return self._root

    def _take(self, event: Event) -> None:
        match event:
            case ScalarEvent():
                self._close(self._scalar(event))
            case AliasEvent():
                self._close(self._aliased(event))
            case MappingStartEvent() | SequenceStartEvent():
                self._start(event)
            case MappingEndEvent() | SequenceEndEvent():
                node = self._open.pop()
                self._measure(node)
                self._close(node)
            case _:
                pass

    def _scalar(self, event: ScalarEvent) -> Node:
        node = Node(
            "scalar",
            _short(event.tag),
            _line(event.start_mark),
            value=event.value,
            plain=not event.style,
        )
        node.size = node.height = 1
        self._remember(event.anchor, node)
        return node

    def _aliased(self, event: AliasEvent) -> Node:
        name = str(event.anchor)
        node = self._anchors.get(name)
        line = _line(event.start_mark)
        if node is None:
            reason = f"not valid YAML: found undefined alias '{name}'"
            raise YamlError(f"unknown anchor '{name}' referenced", line=line, reason=reason)
        if not node.size:
            reason = "an alias that contains itself"
            raise YamlError(f"anchor '{name}' value contains itself", line=line, reason=reason)
        return node

    def _start(self, event: MappingStartEvent | SequenceStartEvent) -> None:
        line = _line(event.start_mark)
        if len(self._open) >= MAX_DEPTH:
            raise _too_deep(line)
        node = Node("map" if isinstance(event, MappingStartEvent) else "seq", _short(event.tag), line)
        self._remember(event.anchor, node)
        self._open.append(node)

    def _remember(self, anchor: str | None, node: Node) -> None:
        if anchor is not None:
            self._anchors[anchor] = node

    def _close(self, node: Node) -> None:
        self._count += 1
        if self._count > self._max_nodes:
            raise self._too_large("more than", node)
        if self._open:
            self._open[-1].children.append(node)
        else:
            self._root = node

    def _measure(self, node: Node) -> None:
        node.size = 1 + sum(child.size for child in node.children)
        node.height = 1 + max((child.height for child in node.children), default=0)
        if node.size > self._max_nodes:
            raise self._too_large("excessive aliasing: more than", node)
        if node.height > MAX_DEPTH:
            raise _too_deep(node.line)
        if node.kind == "map":
            self._find_duplicates(node)

    def _too_large(self, how: str, node: Node) -> YamlError:
        reason = f"too large (more than {self._max_nodes} values)"
        return YamlError(f"document contains {how} {self._max_nodes} values", line=node.line, reason=reason)

    def _find_duplicates(self, node: Node) -> None:
        first_lines: dict[tuple[str, str], int] = {}
        for key in node.children[::2]:
            spelling = (key.kind, key.value)
            if spelling in first_lines:
                self.duplicates.append(Duplicate(key=key.value, line=key.line, first_line=first_lines[spelling]))
            else:
                first_lines[spelling] = key.line


def _short(tag: str | None) -> str:
    if tag is None or tag == "!":
        return ""
    return "!!" + tag.removeprefix(_TAG_PREFIX) if tag.startswith(_TAG_PREFIX) else tag


def _line(mark: Mark | CMark | None) -> int:
    return mark.line + 1 if mark is not None else 0


def _too_deep(line: int) -> YamlError:
    return YamlError(f"exceeded max depth of {MAX_DEPTH}", line=line, reason="nested too deeply")


def _syntax_error(error: YAMLError) -> YamlError:
    """The original library's text for a parser error, whose line numbers are odd but what people will search for."""
    if isinstance(error, ReaderError):
        return YamlError(error.reason, reason=f"not valid YAML: {error}")
    if not isinstance(error, MarkedYAMLError):
        return YamlError(str(error), reason=f"not valid YAML: {error}")
    if error.problem == "exceeded maximum nesting depth":
        # The parser of PyYAML 6.0.4 reads ahead and stops at 1,000 levels, before it reports the first hundred.
        return _too_deep(_line(error.problem_mark))
    line = next((mark.line for mark in (error.context_mark, error.problem_mark) if mark and mark.line), 0)
    shown = line + 1 if line and isinstance(error, ScannerError) else line
    text = error.problem or "unknown problem parsing YAML content"
    return YamlError(
        f"line {shown}: {text}" if shown else text,
        line=_line(error.problem_mark or error.context_mark),
        reason=f"not valid YAML: {error.problem or error}",
    )
