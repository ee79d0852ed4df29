"""Values while an expression runs: plain Python ones, and the few types that Python does not distinguish.

bool, int, float, str, None, list/tuple/range (arrays), dict (maps). Used by everything that computes. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeGuard

from awf_core.lang.expressions.errors import Fault
from awf_core.lang.expressions.evaluation import MAX_WALK, Budget
from awf_core.lang.go import layouts
from awf_core.lang.go.numbers import truncated
from awf_core.lang.go.text import TYPE_NAMES, Int64, Uint8, printed
from awf_core.lang.go.times import Time

_MAX_DEPTH = 200
OUTSIDE_CALENDAR = "the time is outside the years 1 to 9999"


class AnyMap(dict[object, object]):
    """A map whose keys are any values: what `groupBy` and `fromPairs` return."""

    __slots__ = ()


class NilMap(dict[object, object]):
    """A map that is nil and yet can be read: the response of a step that had none."""

    __slots__ = ()


NIL_MAP = NilMap()

_TYPE_NAMES = {**TYPE_NAMES, range: "[]int", AnyMap: "map[interface {}]interface {}"}


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


def time_text(layout: str, time: Time) -> str:
    """`time` written by `layout`. Raises Fault outside the years 1 to 9999."""
    try:
        return layouts.write(layout, time, parts=layouts.READABLE_PARTS, zone_name=layouts.known_name)
    except OverflowError:
        raise Fault(OUTSIDE_CALENDAR) from None


def plain(value: object) -> object:
    """`value` for callers outside: lists, dicts and None instead of the types of this package."""
    if isinstance(value, NilMap):
        return None
    if is_array(value):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return int(value) if isinstance(value, (Int64, Uint8)) else value


def value_text(value: object) -> str:
    """`value` as `string()` gives it: `[a b]`, `map[k:v]`, `<nil>`, floats in their shortest form."""
    return printed(value, check=value_bounds(), other=_other)


def _other(value: object) -> str:
    return time_text(layouts.STRING, value) if isinstance(value, Time) else str(value)


def value_bounds() -> Callable[[object, int], None]:
    """A check to call for every value that is written. It raises Fault for too many and too deep ones."""
    budget = Budget(MAX_WALK)

    def check(value: object, depth: int) -> None:
        # A text counts by its length: many references to one long text would add up to more than memory holds.
        budget.spend(1 + len(value) // 64 if isinstance(value, str) else 1)
        if depth > _MAX_DEPTH:
            raise Fault("recursion depth exceeded")

    return check
