"""Typed access to the keys of one mapping of a workflow file.

The loader uses it and passes it to step parsers. Unknown keys are never read. Every reader
raises FieldProblem, with the original tool's text, for a value of the wrong shape; a null counts as absent.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from awf_core.lang.go.durations import parse_duration_ns, whole_seconds
from awf_core.lang.go.quoting import quoted
from awf_core.lang.problems import FieldProblem, StepProblem
from awf_core.lang.yaml_decode import (
    WrongShape,
    as_any,
    as_flag,
    as_integer,
    as_number,
    as_text,
    is_null,
)
from awf_core.yaml.nodes import Node, YamlError, pairs

T = TypeVar("T")


class Fields:
    """The keys of one mapping. Read only; not shared between threads.

    path         where the mapping stands in the file: `states.a`, `inputs[0]`
    owner        what begins the text of a problem: `state "a": `, or nothing
    re_encoded   whether values stand inside a state (see `yaml_decode`)
    line         1-based line of the mapping
    """

    __slots__ = ("_nodes", "line", "owner", "path", "re_encoded")

    def __init__(self, node: Node, *, path: str, owner: str = "", re_encoded: bool = False) -> None:
        self.path = path
        self.owner = owner
        self.re_encoded = re_encoded
        self.line = node.line
        try:
            self._nodes = {key.value: (key, value) for key, value in pairs(node) if key.kind == "scalar"}
        except YamlError as error:
            raise self._problem(error, path) from error

    def has(self, key: str) -> bool:
        """Whether `key` is written, even as null."""
        return key in self._nodes

    def entries(self) -> tuple[tuple[str, int, Node], ...]:
        """Every key with its line and its value's node, in the order written. For readers of maps of mappings."""
        return tuple((name, key.line, value) for name, (key, value) in self._nodes.items())

    def line_of(self, key: str) -> int:
        """1-based line on which `key` is written, the line of the mapping when it is absent."""
        found = self._nodes.get(key)
        return found[0].line if found is not None else self.line

    def path_of(self, key: str) -> str:
        """Path of `key` in the file: `states.a.timeout`."""
        return f"{self.path}.{key}" if self.path else key

    def text(self, key: str) -> str:
        """The text of a scalar, numbers and flags included; empty when absent."""
        return self._read(key, lambda node: as_text(node, re_encoded=self.re_encoded)) or ""

    def integer(self, key: str) -> int | None:
        """A whole number; a float is cut. None when absent."""
        return self._read(key, as_integer)

    def number(self, key: str) -> float | None:
        """A number as float. None when absent."""
        return self._read(key, as_number)

    def flag(self, key: str) -> bool:
        """A boolean, yes/no/on/off included. False when absent."""
        return self._read(key, as_flag) or False

    def list_of_text(self, key: str) -> tuple[str, ...]:
        """A list of scalars; nulls in it are left out. Empty when absent."""
        return tuple(self._read(key, self._as_texts) or ())

    def list_of_integers(self, key: str) -> tuple[int, ...]:
        """A list of whole numbers; nulls in it are left out. Empty when absent."""
        found = self._read(key, lambda node: [as_integer(item) for item in _items(node, "[]int")]) or ()
        return tuple(number for number in found if number is not None)

    def mapping(self, key: str) -> dict[str, Any]:
        """A mapping with text keys and any values, new at every call. Empty when absent."""
        return self._read(key, self._as_mapping) or {}

    def text_mapping(self, key: str) -> dict[str, str]:
        """A mapping of texts to texts. Empty when absent."""
        return self._read(key, self._as_text_mapping) or {}

    def raw(self, key: str) -> Any:
        """The value as it stands: None, bool, int, float, text, list or dict, new at every call. None when absent."""
        return self._read(key, lambda node: as_any(node, re_encoded=self.re_encoded))

    def duration_ns(self, key: str) -> int | None:
        """Nanoseconds of a duration text or a whole number of seconds; None when absent or empty.

        Raises StepProblem `invalid duration: <text>`.
        """
        text = self.text(key)
        if not text:
            return None
        try:
            return parse_duration_ns(text)
        except ValueError as error:
            raise StepProblem(f"invalid duration: {text}", key=key, hint=f"{error}. Write 90, 90s or 1m30s.") from error

    def duration_s(self, key: str) -> int | None:
        """Whole seconds of a duration, cut toward zero; None when absent or empty. Raises as `duration_ns`."""
        duration_ns = self.duration_ns(key)
        return None if duration_ns is None else whole_seconds(duration_ns)

    def nested(self, key: str, kind: str = "map[string]interface {}") -> Fields | None:
        """The keys of a mapping one level down, None when absent. `kind` names the type in a problem's text."""
        return self._read(key, lambda node: self._child(node, self.path_of(key), kind))

    def each(self, key: str, kind: str = "map[string]interface {}") -> tuple[Fields, ...]:
        """The mappings of a list, nulls left out. Empty when absent. `kind` names the type of one item."""
        nodes = self._read(key, lambda node: _items(node, f"[]{kind}")) or []
        found = (self._child(node, f"{self.path_of(key)}[{index}]", kind) for index, node in enumerate(nodes))
        return tuple(fields for fields in found if fields is not None)

    def _read(self, key: str, convert: Callable[[Node], T]) -> T | None:
        found = self._nodes.get(key)
        if found is None:
            return None
        try:
            return None if is_null(found[1]) else convert(found[1])
        except YamlError as error:
            raise self._problem(error, self.path_of(key)) from error

    def _problem(self, error: YamlError, path: str) -> FieldProblem:
        # With an owner the text says already where it is.
        return FieldProblem(f"{self.owner}{error.text}", line=error.line, field="" if self.owner else path)

    def _child(self, node: Node, path: str, kind: str) -> Fields | None:
        if is_null(node):
            return None
        if node.kind != "map":
            raise self._problem(WrongShape(node, kind), path)
        return Fields(node, path=path, owner=self.owner, re_encoded=self.re_encoded)

    def _as_texts(self, node: Node) -> list[str]:
        items = _items(node, "[]string")
        return [as_text(item, re_encoded=self.re_encoded) for item in items if not is_null(item)]

    def _as_mapping(self, node: Node) -> dict[str, Any]:
        if node.kind != "map":
            raise WrongShape(node, "map[string]interface {}")
        return {as_text(key, re_encoded=False): as_any(value, re_encoded=self.re_encoded) for key, value in pairs(node)}

    def _as_text_mapping(self, node: Node) -> dict[str, str]:
        if node.kind != "map":
            raise WrongShape(node, "map[string]string")
        return {
            as_text(key, re_encoded=False): as_text(value, re_encoded=self.re_encoded) for key, value in pairs(node)
        }


def _items(node: Node, wanted: str) -> list[Node]:
    if node.kind != "seq":
        raise WrongShape(node, wanted)
    return node.children


class StateFields(Fields):
    """The keys of one state, as its step parser sees them.

    name          the state's name
    type          its `type:` as written
    line          line on which its name is written
    source        the workflow's file, for paths relative to it
    state_names   every state of the workflow, for parsers that refer to others
    """

    __slots__ = ("name", "source", "state_names", "type")

    def __init__(self, node: Node, *, name: str, line: int, source: Path, state_names: frozenset[str]) -> None:
        super().__init__(node, path=f"states.{name}", owner=f"state {quoted(name)}: ", re_encoded=True)
        self.line = line
        self.name = name
        self.source = source
        self.state_names = state_names
        self.type = self.text("type")
