"""The functions on values: eq, ne, lt, le, gt, ge with Go's strictness about types; index, slice and len.

For the last three strings are bytes, and a missing key of a map is the zero of its elements. Called by the function
table only. Pure. Raises FunctionError in Go's words.
"""

from __future__ import annotations

from awf_core.lang.go.quoting import from_bytes, to_bytes
from awf_core.lang.go.text import StringList, Uint8, has_text_keys
from awf_core.lang.templates.errors import FunctionError
from awf_core.lang.templates.formatting import sprint, sprintf
from awf_core.lang.templates.timestamps import Timestamp
from awf_core.lang.templates.values import (
    INVALID,
    MISSING,
    Kind,
    MapView,
    Opaque,
    Pointer,
    Struct,
    Value,
    kind_of,
    length_of,
    map_get,
    type_name,
)

_BASIC = frozenset((Kind.BOOL, Kind.INT, Kind.UINT, Kind.FLOAT, Kind.COMPLEX, Kind.STRING))
_ORDERED = frozenset((Kind.INT, Kind.UINT, Kind.FLOAT, Kind.STRING))
_INTEGERS = frozenset((Kind.INT, Kind.UINT))


def equal(first: Value, *others: Value) -> bool:
    """Whether `first` equals one of `others`; those after the first match are not compared."""
    if not others:
        raise FunctionError("missing argument for comparison")
    return any(_equal(first, other) for other in others)


def not_equal(first: Value, second: Value) -> bool:
    """The opposite of `equal`, for two values."""
    return not equal(first, second)


def less(first: Value, second: Value) -> bool:
    """Whether `first` comes before `second`: both integers, floats or strings."""
    kinds = kind_of(first), kind_of(second)
    if not _BASIC.issuperset(kinds):
        raise FunctionError("invalid type for comparison")
    if kinds[0] != kinds[1] and not _INTEGERS.issuperset(kinds):
        raise _incompatible(first, second)
    if kinds[0] not in _ORDERED:
        raise FunctionError("invalid type for comparison")
    return bool(first < second)


def less_or_equal(first: Value, second: Value) -> bool:
    """Whether `first` comes before `second` or equals it."""
    return less(first, second) or equal(first, second)


def greater(first: Value, second: Value) -> bool:
    """The opposite of `less_or_equal`, also where a float is no number."""
    return not less_or_equal(first, second)


def greater_or_equal(first: Value, second: Value) -> bool:
    """The opposite of `less`, also where a float is no number."""
    return not less(first, second)


def _incompatible(first: Value, second: Value) -> FunctionError:
    return FunctionError(f"incompatible types for comparison: {type_name(first)} and {type_name(second)}")


def _equal(first: Value, second: Value) -> bool:
    kinds = kind_of(first), kind_of(second)
    if kinds[0] in _BASIC and kinds[1] in _BASIC:
        if kinds[0] != kinds[1] and not _INTEGERS.issuperset(kinds):
            raise _incompatible(first, second)
        return bool(first == second)
    if Kind.NIL in kinds:
        return _is_nil(first) and _is_nil(second)
    if kinds[0] in _BASIC or kinds[1] in _BASIC:
        raise _incompatible(first, second)
    return _equal_composites(first, second)


def _is_nil(value: Value) -> bool:
    if kind_of(value) == Kind.NIL:
        return True
    if isinstance(value, Pointer):
        return value.target is None
    return type(value) is MapView and value.is_nil


def _equal_composites(first: Value, second: Value) -> bool:
    if kind_of(first) != kind_of(second):
        names = type_name(first), type_name(second)
        shown = f"{sprintf('%s', [first])}: {names[0]}, {names[1]}: {sprint([second])}"
        raise FunctionError(f"non-comparable types {shown}")
    if _is_nil(first) or _is_nil(second):
        return _is_nil(first) and _is_nil(second)
    if not _is_comparable(second):
        raise FunctionError(f"non-comparable type {sprintf('%s', [second])}: {type_name(second)}")
    return type_name(first) == type_name(second) and _same(first, second)


def _is_comparable(value: Value) -> bool:
    if isinstance(value, Struct):
        return value.type.is_comparable
    return kind_of(value) not in (Kind.MAP, Kind.SLICE)


def _same(first: Value, second: Value) -> bool:
    if isinstance(first, Timestamp):
        return bool(first.time == second.time)
    if isinstance(first, Opaque):
        return _same_hidden(first.hidden_values(), second.hidden_values())
    if isinstance(first, Struct):
        return all(_equal(first.get(name), second.get(name)) for name in first.type.fields)
    if kind_of(first) == Kind.POINTER:
        return first.target is second.target or first.target.data is second.target.data
    return bool(first == second)


def _same_hidden(first: tuple[Value, ...], second: tuple[Value, ...]) -> bool:
    for one, other in zip(first, second, strict=True):
        if kind_of(one) in (Kind.MAP, Kind.SLICE) and kind_of(other) == kind_of(one):
            raise FunctionError(f"runtime error: comparing uncomparable type {type_name(one)}")
        if type_name(one) != type_name(other) or one != other:
            return False
    return True


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
