"""YAML text as a tree of nodes, read as the original tool's YAML library reads it.

Called by the loader and by whatever else reads a file of the workflow language. It keeps every scalar's text and line,
and resolves nothing: what a scalar means depends on the field that reads it (`yaml_scalars.py`, `yaml_decode.py`).

Only the first document counts. Size, nesting and alias expansion are bounded, because a file may come from a stranger;
the nesting limit also keeps the parser, whose cost grows with the square of the depth, fast.
"""

from __future__ import annotations

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

from awf_core.lang.go.quoting import quoted

if TYPE_CHECKING:
    from yaml._yaml import Mark as CMark
    from yaml.error import Mark
    from yaml.events import Event

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 100
MAX_NODES = 200_000
"""Nodes of a document with every alias counted as often as it is used."""

MAX_SHOWN = 20
"""Duplicate keys named in one error."""

Kind = Literal["scalar", "seq", "map"]
_TAG_PREFIX = "tag:yaml.org,2002:"


class YamlError(Exception):
    """A text that is no usable YAML. `line` is 1-based, 0 when unknown; the text begins with `yaml: `."""

    def __init__(self, text: str, *, line: int = 0) -> None:
        super().__init__(f"yaml: {text}")
        self.text = f"yaml: {text}"
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


def read_yaml(data: bytes) -> Node | None:
    """The root node of the first document in `data`, None when there is none. Raises YamlError."""
    if len(data) > MAX_BYTES:
        raise YamlError(f"file of {len(data)} bytes is larger than the {MAX_BYTES} bytes allowed")
    composer = _Composer()
    try:
        root = composer.compose(data)
    except YAMLError as error:
        raise _syntax_error(error) from error
    if composer.duplicates:
        lines = "".join(f"\n  line {line}: {text}" for line, text in composer.duplicates[:MAX_SHOWN])
        raise YamlError(f"unmarshal errors:{lines}", line=composer.duplicates[0][0])
    return root


class _Composer:
    """Builds nodes from parser events with a stack of its own, so that no document can exhaust the interpreter's."""

    def __init__(self) -> None:
        self.duplicates: list[tuple[int, str]] = []
        self._anchors: dict[str, Node] = {}
        self._open: list[Node] = []
        self._root: Node | None = None
        self._count = 0

    def compose(self, data: bytes) -> Node | None:
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
            raise YamlError(f"unknown anchor '{name}' referenced", line=line)
        if not node.size:
            raise YamlError(f"anchor '{name}' value contains itself", line=line)
        return node

    def _start(self, event: MappingStartEvent | SequenceStartEvent) -> None:
        line = _line(event.start_mark)
        if len(self._open) >= MAX_DEPTH:
            raise YamlError(f"exceeded max depth of {MAX_DEPTH}", line=line)
        node = Node("map" if isinstance(event, MappingStartEvent) else "seq", _short(event.tag), line)
        self._remember(event.anchor, node)
        self._open.append(node)

    def _remember(self, anchor: str | None, node: Node) -> None:
        if anchor is not None:
            self._anchors[anchor] = node

    def _close(self, node: Node) -> None:
        self._count += 1
        if self._count > MAX_NODES:
            raise YamlError(f"document contains more than {MAX_NODES} values", line=node.line)
        if self._open:
            self._open[-1].children.append(node)
        else:
            self._root = node

    def _measure(self, node: Node) -> None:
        node.size = 1 + sum(child.size for child in node.children)
        node.height = 1 + max((child.height for child in node.children), default=0)
        if node.size > MAX_NODES:
            raise YamlError(f"document contains excessive aliasing: more than {MAX_NODES} values", line=node.line)
        if node.height > MAX_DEPTH:
            raise YamlError(f"exceeded max depth of {MAX_DEPTH}", line=node.line)
        if node.kind == "map":
            self._find_duplicates(node)

    def _find_duplicates(self, node: Node) -> None:
        first_lines: dict[tuple[str, str], int] = {}
        for key in node.children[::2]:
            spelling = (key.kind, key.value)
            if spelling in first_lines:
                text = f"mapping key {quoted(key.value)} already defined at line {first_lines[spelling]}"
                self.duplicates.append((key.line, text))
            else:
                first_lines[spelling] = key.line


def _short(tag: str | None) -> str:
    if tag is None or tag == "!":
        return ""
    return "!!" + tag.removeprefix(_TAG_PREFIX) if tag.startswith(_TAG_PREFIX) else tag


def _line(mark: Mark | CMark | None) -> int:
    return mark.line + 1 if mark is not None else 0


def _syntax_error(error: YAMLError) -> YamlError:
    """The original library's text for a parser error, whose line numbers are odd but what people will search for."""
    if isinstance(error, ReaderError):
        return YamlError(error.reason)
    if not isinstance(error, MarkedYAMLError):
        return YamlError(str(error))
    if error.problem == "exceeded maximum nesting depth":
        # The parser of PyYAML 6.0.4 reads ahead and stops at 1,000 levels, before it tells us of the first hundred.
        return YamlError(f"exceeded max depth of {MAX_DEPTH}", line=_line(error.problem_mark))
    line = next((mark.line for mark in (error.context_mark, error.problem_mark) if mark and mark.line), 0)
    shown = line + 1 if line and isinstance(error, ScannerError) else line
    text = error.problem or "unknown problem parsing YAML content"
    return YamlError(f"line {shown}: {text}" if shown else text, line=_line(error.problem_mark))
