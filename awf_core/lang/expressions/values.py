"""Values while an expression runs: plain Python ones, plus the few types the original tells apart and Python does not.

bool, int, float, str, None, list/tuple/range (arrays), dict (maps). Used by everything that computes. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeGuard

from awf_core.lang.expressions.errors import Fault
from awf_core.lang.expressions.literals import INT_MIN

if TYPE_CHECKING:
    from collections.abc import Sequence

_SPAN = 2**64


class Int64(int):
    """An integer that came from the text of an input; arithmetic turns it into a plain one."""

    __slots__ = ()


class Byte(int):
    """An element of a text, as indexing yields it."""

    __slots__ = ()


class TextArray(list[object]):
    """An array that holds texts only: what `split` returns."""

    __slots__ = ()


class AnyMap(dict[object, object]):
    """A map whose keys are any values: what `groupBy` and `fromPairs` return."""

    __slots__ = ()


class NilMap(dict[object, object]):
    """A map that is nil and yet can be read: the response of a step that had none."""

    __slots__ = ()


NIL_MAP = NilMap()

_TYPE_NAMES = {
    bool: "bool",
    int: "int",
    Int64: "int64",
    Byte: "uint8",
    float: "float64",
    str: "string",
    range: "[]int",
    TextArray: "[]string",
    AnyMap: "map[interface {}]interface {}",
}


def type_name(value: object) -> str:
    """The name of a value's type in error messages; `<nil>` for nil."""
    if value is None:
        return "<nil>"
    name = _TYPE_NAMES.get(type(value)) or getattr(value, "type_name", None)
    if isinstance(name, str):
        return name
    if is_array(value):
        return "[]interface {}"
    return "map[string]interface {}" if isinstance(value, Mapping) else type(value).__name__


def is_nil(value: object) -> bool:
    """Whether `value` counts as nil."""
    return value is None or type(value) is NilMap


def is_array(value: object) -> TypeGuard[Sequence[object]]:
    """Whether `value` is an array."""
    return isinstance(value, (list, range, tuple))


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether `value` is an integer or a float; a bool is neither."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_int(value: object) -> TypeGuard[int]:
    """Whether `value` is an integer; a bool is not."""
    return isinstance(value, int) and not isinstance(value, bool)


def wrap(value: int) -> int:
    """`value` as 64-bit arithmetic leaves it."""
    if -0x8000000000000000 <= value <= 0x7FFFFFFFFFFFFFFF:
        return value
    return (value - INT_MIN) % _SPAN + INT_MIN


def truncated(value: int | float) -> int:
    """`value` cut to a 64-bit integer; what does not fit becomes the smallest one, as on the usual processors."""
    if not isinstance(value, float):
        return wrap(int(value))
    if value - value != 0 or not -(2.0**63) <= value < 2.0**63:
        return INT_MIN
    return int(value)


def to_int(value: object) -> int:
    """The integer of a number, for indexes and ranges. Raises Fault for anything else."""
    if is_number(value):
        return truncated(value)
    raise Fault(f"invalid operation: int({type_name(value)})")


def to_float(value: object) -> float:
    """The float of a number. Raises Fault for anything else."""
    if is_number(value):
        return float_of(value)
    raise Fault(f"invalid operation: float({type_name(value)})")


def float_of(value: int | float) -> float:
    """`value` as a float; an integer too large for one becomes infinite."""
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def asserted(value: object, wanted: str) -> Fault:
    """The error of a value that is not of the type it has to be."""
    found = "nil" if value is None else type_name(value)
    return Fault(f"interface conversion: interface {{}} is {found}, not {wanted}")


def as_text(value: object) -> str:
    """`value`, which has to be a text. Raises Fault otherwise."""
    if isinstance(value, str):
        return value
    raise asserted(value, "string")


def as_bool(value: object) -> bool:
    """`value`, which has to be a bool. Raises Fault otherwise."""
    if value is True or value is False:
        return value
    raise asserted(value, "bool")


def plain(value: object) -> object:
    """`value` as callers outside expect it: lists, dicts and None instead of what exists in here only."""
    if isinstance(value, NilMap):
        return None
    if is_array(value):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return int(value) if isinstance(value, (Int64, Byte)) else value
