"""Read a YAML file into plain values and remember the line of every key. Called by the configuration loader.

Duplicate keys are errors, only the first document counts, aliases and merge keys work.
Never builds Python objects.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import yaml

from awf_core.errors import ConfigError
from awf_core.yaml_scalars import resolve

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path as FilePath

KeyPath = tuple[str | int, ...]
_PLAIN = "!plain"
_MAX_NODES = 100_000
_BaseLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_BaseLoader):  # type: ignore[misc]
    # PyYAML's own resolvers follow YAML 1.1 ("yes" is true); ours need to know that a scalar was bare.
    yaml_implicit_resolvers: ClassVar[dict[str | None, Any]] = {None: [(_PLAIN, re.compile(""))]}


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
    node = _compose(text, label)
    if node is None or (isinstance(node, yaml.ScalarNode) and _scalar(node, label) is None):
        return Document(label=label)
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{label}:{_line(node)}: not a mapping (allowed: keys with values, such as `mq:`)")
    builder = _Builder(label)
    values = builder.mapping(node, ())
    return Document(label=label, values=values, lines=builder.lines)


def parse_flow(text: str) -> object:
    """The value of a piece of YAML, such as an environment variable holds. Raises ValueError saying why not."""
    try:
        node = _compose(text, "value")
        return None if node is None else _Builder("value").value(node, ())
    except ConfigError as exc:
        raise ValueError(exc.message.split(": ", 1)[1]) from exc


def _compose(text: str, label: str) -> yaml.Node | None:
    loader = _Loader(text)
    try:
        return loader.get_node() if loader.check_node() else None
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise ConfigError(f"{label}{line}: not valid YAML: {exc.problem or exc}") from exc
    except yaml.YAMLError as exc:
        raise ConfigError(f"{label}: not valid YAML: {exc}") from exc
    except RecursionError as exc:
        raise ConfigError(f"{label}: nested too deeply") from exc
    finally:
        loader.dispose()


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _scalar(node: yaml.ScalarNode, label: str) -> object:
    if node.tag == _PLAIN:
        return _plain_value(node.value)
    try:
        return _tagged_value(node.tag, node.value)
    except ValueError as exc:
        raise ConfigError(f"{label}:{_line(node)}: {exc}") from exc


def _plain_value(text: str) -> object:
    value = resolve(text)
    # A configuration has no use for what else a timestamp knows.
    return str(value) if isinstance(value, str) else value


def _tagged_value(tag: str, text: str) -> object:
    """The value of a scalar with an explicit `!!` tag. Raises ValueError where the text does not fit the tag."""
    if tag == "tag:yaml.org,2002:str":
        return text
    if tag == "tag:yaml.org,2002:binary":
        return _binary(text)
    value = _plain_value(text)
    if tag == "tag:yaml.org,2002:float" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


def _binary(text: str) -> str:
    try:
        return b64decode(text, validate=False).decode("utf-8", "replace")
    except binascii.Error as exc:
        raise ValueError(f"{text[:40]!r} is not base64") from exc


class _Builder:
    """Turns nodes into values, noting lines on the way."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.lines: dict[KeyPath, int] = {}
        self._nodes = 0
        self._open: set[int] = set()

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        self._count(node)
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node, self.label)
        if id(node) in self._open:
            raise ConfigError(f"{self.label}:{_line(node)}: an alias that contains itself")
        self._open.add(id(node))
        try:
            return self.mapping(node, path) if isinstance(node, yaml.MappingNode) else self._items(node, path)
        finally:
            self._open.discard(id(node))

    def mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        values: dict[str, Any] = {}
        seen: dict[str, int] = {}
        merged: list[yaml.Node] = []
        for key_node, value_node in node.value:
            if key_node.value == "<<" and key_node.tag == _PLAIN:
                merged.append(value_node)
                continue
            key = self._key(key_node, seen)
            self.lines[(*path, key)] = _line(key_node)
            values[key] = self.value(value_node, (*path, key))
        for source in merged:
            self._merge(source, path, values)
        return values

    def _items(self, node: yaml.Node, path: KeyPath) -> list[Any]:
        for index, item in enumerate(node.value):
            self.lines[(*path, index)] = _line(item)
        return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]

    def _key(self, node: yaml.Node, seen: dict[str, int]) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise ConfigError(f"{self.label}:{_line(node)}: a key has to be a text")
        key = str(node.value)
        if key in seen:
            raise ConfigError(f"{self.label}:{_line(node)}: {key!r} is there twice (first on line {seen[key]})")
        seen[key] = _line(node)
        return key

    def _merge(self, source: yaml.Node, path: KeyPath, values: dict[str, Any]) -> None:
        parts = source.value if isinstance(source, yaml.SequenceNode) else [source]
        for part in parts:
            if not isinstance(part, yaml.MappingNode):
                raise ConfigError(f"{self.label}:{_line(part)}: `<<` merges mappings only")
            known = dict(self.lines)
            for key, value in self.value(part, path).items():
                values.setdefault(key, value)
            self.lines |= known

    def _count(self, node: yaml.Node) -> None:
        # Aliases of aliases grow without bound; no honest configuration comes near this.
        self._nodes += 1
        if self._nodes > _MAX_NODES:
            raise ConfigError(f"{self.label}:{_line(node)}: too large (more than {_MAX_NODES} values)")
