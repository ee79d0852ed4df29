"""The comparison functions eq, ne, lt, le, gt, ge, with Go's strictness about types.

Called by the function table only. Pure. Raises FunctionError in Go's words.
"""

from __future__ import annotations

from awf_core.lang.templates.errors import FunctionError
from awf_core.lang.templates.formatting import sprint, sprintf
from awf_core.lang.templates.timestamps import Timestamp
from awf_core.lang.templates.values import Kind, MapView, Opaque, Pointer, Struct, Value, kind_of, type_name

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
