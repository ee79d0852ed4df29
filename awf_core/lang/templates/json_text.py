"""JSON as Go's encoding/json writes it: sorted keys, `<>&` escaped, Go's floats.

Called by the function `json` and for the items of loops. Pure. Raises FunctionError for what JSON can't hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from awf_core.lang.go import layouts
from awf_core.lang.go.json import json_float, json_string
from awf_core.lang.go.numbers import int_text
from awf_core.lang.go.text import has_text_keys
from awf_core.lang.templates.errors import FunctionError, check_pieces, check_size
from awf_core.lang.templates.timestamps import Timestamp
from awf_core.lang.templates.values import Kind, MapView, Struct, Value, kind_of, map_items, type_name


def to_json(value: Value) -> str:
    """`value` as compact JSON. Raises LimitError when it grows too large."""
    writer = _Writer()
    writer.add(value)
    return "".join(writer.parts)


class _Writer:
    """The JSON so far. Counts as it goes: a few YAML aliases of aliases can stand for gigabytes."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.size = 0

    def add(self, value: Value) -> None:
        kind = kind_of(value)
        if kind in _SCALARS:
            self._write(_SCALARS[kind](value))
        elif kind == Kind.SLICE:
            self._list(value)
        elif kind == Kind.MAP:
            self._map(value)
        elif kind == Kind.POINTER:
            self.add(value.target)
        elif kind == Kind.STRUCT:
            self._struct(value)
        else:
            raise FunctionError(f"json: unsupported type: {type_name(value)}")

    def _write(self, text: str) -> None:
        self.size += len(text)
        check_size(self.size)
        check_pieces(len(self.parts))
        self.parts.append(text)

    def _list(self, value: Value) -> None:
        self._write("[")
        for index, item in enumerate(value):
            if index:
                self._write(",")
            self.add(item)
        self._write("]")

    def _map(self, value: Value) -> None:
        if type(value) is MapView and value.is_nil:
            return self._write("null")
        if type(value) is not MapView and not has_text_keys(value):
            raise FunctionError(f"json: unsupported type: {type_name(value)}")
        return self._members(map_items(value))

    def _members(self, members: Iterable[tuple[str, Value]]) -> None:
        mark = "{"
        for name, item in members:
            self._write(f"{mark}{json_string(name)}:")
            self.add(item)
            mark = ","
        self._write("{}" if mark == "{" else "}")

    def _struct(self, value: Value) -> None:
        if isinstance(value, Timestamp):
            self._write(json_string(value.format(layouts.RFC3339)))
        elif isinstance(value, Struct):
            self._members((name, value.get(name)) for name in value.type.fields)
        else:
            self.add(value.original)


def _number(value: float) -> str:
    try:
        return json_float(value)
    except ValueError as error:
        raise FunctionError(str(error)) from None


_SCALARS: Final[dict[int, Callable[[Value], str]]] = {
    Kind.NIL: lambda _: "null",
    Kind.BOOL: lambda value: "true" if value else "false",
    Kind.INT: int_text,
    Kind.UINT: int_text,
    Kind.FLOAT: _number,
    Kind.STRING: json_string,
}
