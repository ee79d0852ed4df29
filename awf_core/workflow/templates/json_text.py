"""JSON as Go's encoding/json writes it: sorted keys, `<>&` escaped, Go's floats.

Called by the function `json` and for the items of loops. Pure. Raises FunctionError for what JSON can't hold.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

from awf_core.workflow.templates.errors import FunctionError
from awf_core.workflow.templates.number_text import format_float, int_text
from awf_core.workflow.templates.timestamps import Timestamp
from awf_core.workflow.templates.values import (
    BOOL,
    FLOAT,
    INT,
    MAP,
    NIL,
    POINTER,
    SLICE,
    STRING,
    STRUCT,
    UINT,
    MapView,
    Struct,
    Value,
    has_text_keys,
    kind_of,
    map_items,
    type_name,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_SPECIAL = re.compile('[\x00-\x1f"\\\\<>&\u2028\u2029\ud800-\udfff]')
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f", '"': '\\"', "\\": "\\\\"}


def to_json(value: Value) -> str:
    """`value` as compact JSON."""
    kind = kind_of(value)
    writer = _WRITERS.get(kind)
    if writer is None:
        raise FunctionError(f"json: unsupported type: {type_name(value)}")
    return writer(value)


def _text(value: str) -> str:
    return '"' + _SPECIAL.sub(lambda match: _escape(match[0]), value) + '"'


def _escape(char: str) -> str:
    if char in _SHORT:
        return _SHORT[char]
    code = ord(char)
    return "\\ufffd" if 0xD800 <= code < 0xE000 else f"\\u{code:04x}"


def _number(value: float) -> str:
    if math.isnan(value) or math.isinf(value):
        raise FunctionError(f"json: unsupported value: {format_float(value, 'g')}")
    size = abs(value)
    if size and not 1e-6 <= size < 1e21:
        mantissa, _, exponent = format_float(value, "e").partition("e")
        return f"{mantissa}e{exponent[0]}{exponent[1:].lstrip('0')}"
    return format_float(value, "f")


def _list(value: Value) -> str:
    return "[" + ",".join(to_json(item) for item in value) + "]"


def _map(value: Value) -> str:
    if type(value) is MapView:
        if value.is_nil:
            return "null"
    elif not has_text_keys(value):
        raise FunctionError(f"json: unsupported type: {type_name(value)}")
    return "{" + ",".join(f"{_text(key)}:{to_json(item)}" for key, item in map_items(value)) + "}"


def _struct(value: Value) -> str:
    if isinstance(value, Timestamp):
        return _text(value.rfc3339())
    if isinstance(value, Struct):
        parts = (f"{_text(name)}:{to_json(value.get(name))}" for name in value.type.fields)
        return "{" + ",".join(parts) + "}"
    return to_json(value.original)


_WRITERS: Final[dict[int, Callable[[Value], str]]] = {
    NIL: lambda _: "null",
    BOOL: lambda value: "true" if value else "false",
    INT: int_text,
    UINT: int_text,
    FLOAT: _number,
    STRING: _text,
    SLICE: _list,
    MAP: _map,
    STRUCT: _struct,
    POINTER: lambda value: to_json(value.target),
}
