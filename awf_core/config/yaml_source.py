"""Read a YAML file into plain values and remember the line of every key. Called by the configuration loader.

Duplicate keys are errors, only the first document counts, aliases and merge keys work.
Never builds Python objects.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

from awf_core.errors import ConfigError
from awf_core.yaml.nodes import YamlError, pairs, read_nodes
from awf_core.yaml.scalars import resolve

if TYPE_CHECKING:
    from awf_core.yaml.nodes import Node

KeyPath = tuple[str | int, ...]
_MAX_NODES = 100_000
"""Values with every alias counted as often as it is used: aliases of aliases grow without bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A YAML mapping and where it came from. `label` is the file as a reader is shown it."""

    label: str
    values: Mapping[str, Any] = field(default_factory=dict)
    lines: Mapping[KeyPath, int] = field(default_factory=dict)

    def where(self, path: KeyPath) -> str:
        """`label:line` of the key at `path`, of the nearest key above it where it has none of its own."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.lines:
                return f"{self.label}:{self.lines[path[:length]]}"
        return self.label


def read_document(path: FilePath, *, label: str) -> Document:
    """The file at `path`. Raises ConfigError when it can't be read, is no YAML or no mapping."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{label}: not UTF-8 text (byte {exc.start})", hint="save the file as UTF-8") from exc
    except OSError as exc:
        raise ConfigError(f"{label}: cannot be read: {exc.strerror or exc}") from exc
    return parse_document(text, label=label)


def parse_document(text: str, *, label: str) -> Document:
    """`text` as a document; an empty one is an empty mapping. Raises ConfigError naming `label` and the line."""
    builder = _Builder()
    try:
        return Document(label=label, values=builder.document(_root(text)), lines=builder.lines)
    except YamlError as exc:
        raise ConfigError(f"{label}:{exc.line}: {exc.reason}" if exc.line else f"{label}: {exc.reason}") from exc


def parse_flow(text: str) -> object:
    """The value of a piece of YAML, such as an environment variable holds. Raises ValueError saying why not."""
    try:
        node = _root(text)
        return None if node is None else _Builder().value(node, ())
    except YamlError as exc:
        raise ValueError(exc.reason) from exc


def _root(text: str) -> Node | None:
    root, duplicates = read_nodes(text, max_nodes=_MAX_NODES)
    for found in duplicates:
        if found.key != "<<":
            raise YamlError(f"duplicate key {found.key!r} (first on line {found.first_line})", line=found.line)
    return root


class _Builder:
    """Turns nodes into values, noting lines on the way."""

    def __init__(self) -> None:
        self.lines: dict[KeyPath, int] = {}

    def document(self, root: Node | None) -> dict[str, Any]:
        if root is None or (root.kind == "scalar" and _scalar(root) is None):
            return {}
        if root.kind != "map":
            raise YamlError("not a mapping (allowed: keys with values, such as `mq:`)", line=root.line)
        return self.mapping(root, ())

    def value(self, node: Node, path: KeyPath) -> Any:
        if node.kind == "scalar":
            return _scalar(node)
        return self.mapping(node, path) if node.kind == "map" else self._items(node, path)

    def mapping(self, node: Node, path: KeyPath) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, value in pairs(node):
            if key.kind != "scalar":
                raise YamlError("a key must be a text", line=key.line)
            self.lines[(*path, key.value)] = key.line
            values[key.value] = self.value(value, (*path, key.value))
        return values

    def _items(self, node: Node, path: KeyPath) -> list[Any]:
        for index, item in enumerate(node.children):
            self.lines[(*path, index)] = item.line
        return [self.value(item, (*path, index)) for index, item in enumerate(node.children)]


def _scalar(node: Node) -> object:
    if node.tag == "!!str" or (not node.tag and not node.plain):
        return node.value
    if node.tag == "!!binary":
        return _binary(node)
    value = resolve(node.value)
    if node.tag == "!!float" and type(value) is int:
        return float(value)
    # A configuration has no use for what else a timestamp knows.
    return str(value) if isinstance(value, str) else value


def _binary(node: Node) -> str:
    try:
        return b64decode(node.value, validate=False).decode("utf-8", "replace")
    except ValueError as exc:  # `binascii.Error` is one; a character beyond ASCII raises another
        raise YamlError(f"{node.value[:40]!r} is not base64", line=node.line) from exc
