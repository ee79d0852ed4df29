"""The functions index, slice and len: strings are bytes, a missing key of a map is the zero of its elements.

Called by the function table only. Pure. Raises FunctionError in Go's words.
"""

from __future__ import annotations

from awf_core.lang.go.quoting import from_bytes, to_bytes
from awf_core.lang.go.text import StringList, Uint8, has_text_keys
from awf_core.lang.templates.errors import FunctionError
from awf_core.lang.templates.values import (
    INVALID,
    MISSING,
    Kind,
    MapView,
    Value,
    kind_of,
    length_of,
    map_get,
    type_name,
)


def length(value: Value) -> int:
    """Elements of a list or map, bytes of a string."""
    value = _indirect(value, "len")
    kind = kind_of(value)
    if kind == Kind.STRING:
        return len(value) if value.isascii() else len(to_bytes(value))
    if kind in (Kind.MAP, Kind.SLICE):
        return length_of(value)
    raise FunctionError(f"len of type {type_name(value)}")


def index(value: Value, *keys: Value) -> Value:
    """`value[key][key]…` for lists, strings and maps."""
    if kind_of(value) == Kind.NIL:
        raise FunctionError("index of untyped nil")
    for key in keys:
        value = _element(_indirect(value, "index"), key)
    return value


def cut(value: Value, *bounds: Value) -> Value:
    """`value[low:high]` for lists and strings; up to three bounds for lists."""
    kind = kind_of(value)
    if kind == Kind.NIL:
        raise FunctionError("slice of untyped nil")
    if len(bounds) > 3:
        raise FunctionError(f"too many slice indexes: {len(bounds)}")
    if kind == Kind.STRING and len(bounds) == 3:
        raise FunctionError("cannot 3-index slice a string")
    if kind not in (Kind.STRING, Kind.SLICE):
        raise FunctionError(f"can't slice item of type {type_name(value)}")
    items = to_bytes(value) if kind == Kind.STRING else value
    low, high = _bounds(bounds, len(items))
    piece = items[low:high]
    if isinstance(piece, bytes):
        return from_bytes(piece)
    return StringList(piece) if isinstance(value, StringList) else piece


def _bounds(bounds: tuple[Value, ...], size: int) -> tuple[int, int]:
    given = [_position(bound, size) for bound in bounds]
    low, high, *rest = [*given, *(0, size)[len(given) :]]
    if low > high:
        raise FunctionError(f"invalid slice index: {low} > {high}")
    if rest and high > rest[0]:
        raise FunctionError(f"invalid slice index: {high} > {rest[0]}")
    return low, high


def _indirect(value: Value, function: str) -> Value:
    if value is INVALID:
        raise FunctionError("reflect: call of reflect.Value.Type on zero Value")
    if value is None:
        raise FunctionError(f"{function} of nil pointer")
    if kind_of(value) != Kind.POINTER:
        return value
    if value.target is None:
        raise FunctionError(f"{function} of nil pointer")
    return value.target


def _element(value: Value, key: Value) -> Value:
    kind = kind_of(value)
    if kind == Kind.MAP:
        return _map_element(value, key)
    if kind not in (Kind.SLICE, Kind.STRING):
        raise FunctionError(f"can't index item of type {type_name(value)}")
    items = to_bytes(value) if kind == Kind.STRING else value
    position = _position(key, len(items))
    if position == len(items):
        raise FunctionError(f"reflect: {'string' if kind == Kind.STRING else 'slice'} index out of range")
    return Uint8(items[position]) if kind == Kind.STRING else items[position]


def _map_element(value: Value, key: Value) -> Value:
    if kind_of(key) != Kind.STRING and (type(value) is MapView or has_text_keys(value)):
        if kind_of(key) == Kind.NIL:
            raise FunctionError("value is nil; should be of type string")
        raise FunctionError(f"value has type {type_name(key)}; should be string")
    element = map_get(value, key)
    if element is not MISSING:
        return element
    return value.zero if type(value) is MapView else None


def _position(key: Value, size: int) -> int:
    kind = kind_of(key)
    if kind == Kind.NIL:
        raise FunctionError("cannot index slice/array with nil")
    if kind not in (Kind.INT, Kind.UINT):
        raise FunctionError(f"cannot index slice/array with type {type_name(key)}")
    if not 0 <= key <= size:
        raise FunctionError(f"index out of range: {int(key)}")
    return int(key)
