"""The binary operators as functions of two values: arithmetic, order, equality, membership.

Called by emitted code. Pure. `/` is always a float, `%` is for integers only, overflow wraps around, division by zero
is infinite. Numbers are equal across their types, but not inside maps, as the original compares maps.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

from awf_core.lang.expressions.access import map_key
from awf_core.lang.expressions.errors import Fault
from awf_core.lang.expressions.evaluation import MAX_WALK, Budget, check_text_size
from awf_core.lang.expressions.values import (
    NilMap,
    as_text,
    float_of,
    is_array,
    is_int,
    is_nil,
    is_number,
    to_float,
    type_name,
)
from awf_core.lang.go import regexp
from awf_core.lang.go.numbers import wrapped
from awf_core.lang.go.times import Duration, Time


def add(left: object, right: object) -> object:
    """Sum of numbers, of texts, of a time and a duration. Raises Fault for anything else."""
    if is_number(left) and is_number(right):
        return _number(left, "+", right)
    if isinstance(left, str) and isinstance(right, str):
        check_text_size(len(left) + len(right))
        return left + right
    if isinstance(left, Time) and isinstance(right, Duration):
        return left.plus(right)
    if isinstance(left, Duration) and isinstance(right, Time):
        return right.plus(left)
    if isinstance(left, Duration) and isinstance(right, Duration):
        return Duration(left.nanoseconds + right.nanoseconds)
    raise _invalid(left, "+", right)


def subtract(left: object, right: object) -> object:
    """Difference of numbers, times or durations. Raises Fault for anything else."""
    if is_number(left) and is_number(right):
        return _number(left, "-", right)
    if isinstance(left, Time) and isinstance(right, Time):
        return left.since(right)
    if isinstance(left, Time) and isinstance(right, Duration):
        return left.plus(Duration(-right.nanoseconds))
    if isinstance(left, Duration) and isinstance(right, Duration):
        return Duration(left.nanoseconds - right.nanoseconds)
    raise _invalid(left, "-", right)


def multiply(left: object, right: object) -> object:
    """Product of numbers, or of a number and a duration. Raises Fault for anything else."""
    if is_number(left) and is_number(right):
        return _number(left, "*", right)
    if isinstance(left, Duration) and is_number(right):
        return left.times(right)
    if isinstance(right, Duration) and is_number(left):
        return right.times(left)
    raise _invalid(left, "*", right)


def _number(left: int | float, op: str, right: int | float) -> int | float:
    if isinstance(left, float) or isinstance(right, float):
        left, right = float_of(left), float_of(right)
        return left + right if op == "+" else left - right if op == "-" else left * right
    return wrapped(left + right if op == "+" else left - right if op == "-" else left * right)


def divide(left: object, right: object) -> float:
    """Quotient as a float; by zero it is infinite or not a number. Raises Fault for anything but numbers."""
    if not (is_number(left) and is_number(right)):
        raise _invalid(left, "/", right)
    above, below = float_of(left), float_of(right)
    if below != 0:
        return above / below
    if above == 0 or math.isnan(above):
        return math.nan
    return math.copysign(math.inf, above) * math.copysign(1.0, below)


def modulo(left: object, right: object) -> int:
    """Remainder with the sign of `left`. Raises Fault for anything but integers, and for zero."""
    if not (is_int(left) and is_int(right)):
        raise _invalid(left, "%", right)
    if right == 0:
        raise Fault("runtime error: integer divide by zero")
    rest = abs(int(left)) % abs(int(right))
    return -rest if left < 0 else rest


def power(left: object, right: object) -> float:
    """`left` to the `right`, always a float. Raises Fault for anything but numbers."""
    base, exponent = to_float(left), to_float(right)
    try:
        return math.pow(base, exponent)
    except OverflowError:
        odd = exponent == math.floor(exponent) and math.fmod(exponent, 2) != 0
        return -math.inf if base < 0 and odd else math.inf
    except ValueError:
        if base != 0:
            return math.nan
        odd = exponent == math.floor(exponent) and math.fmod(exponent, 2) != 0
        return math.copysign(math.inf, base) if odd else math.inf


def negate(value: object) -> int | float:
    """`-value` of a number. Raises Fault for anything else."""
    if not is_number(value):
        raise Fault(f"invalid operation: - {type_name(value)}")
    return -value if isinstance(value, float) else type(value)(wrapped(-value))


def _invalid(left: object, op: str, right: object) -> Fault:
    return Fault(f"invalid operation: {type_name(left)} {op} {type_name(right)}")


def equal(left: object, right: object) -> bool:
    """Whether `left == right`. Never fails on types: values of different types differ."""
    if type(left) is type(right) and isinstance(left, (str, bool, int)):
        return left == right
    return _equal(left, right, Budget(MAX_WALK))


def _equal(left: object, right: object, budget: Budget) -> bool:
    if is_number(left) and is_number(right):
        return _same_number(left, right)
    if isinstance(left, (str, bool)) or isinstance(right, (str, bool)):
        return type(left) is type(right) and left == right
    if is_nil(left) or is_nil(right):
        return is_nil(left) and is_nil(right)
    if is_array(left) and is_array(right):
        budget.spend(1)
        return len(left) == len(right) and all(
            _equal(one, other, budget) for one, other in zip(left, right, strict=True)
        )
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return _identical(left, right, budget)
    return type(left) is type(right) and left == right


def _same_number(left: int | float, right: int | float) -> bool:
    if isinstance(left, float) or isinstance(right, float):
        return float_of(left) == float_of(right)
    return left == right


def _identical(left: object, right: object, budget: Budget) -> bool:
    """Equality inside maps: the types have to agree as well."""
    budget.spend(1)
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(_identical(value, right[key], budget) for key, value in left.items())
    if is_array(left) and is_array(right):
        return (
            type(left) is type(right)
            and len(left) == len(right)
            and all(_identical(one, other, budget) for one, other in zip(left, right, strict=True))
        )
    return type(left) is type(right) and left == right


def _order(op: str, compare: Callable[[Any, Any], bool]) -> Callable[[object, object], bool]:
    """The operator `op` between two numbers, texts, times or durations. Raises Fault for types that have no order."""

    def ordered(left: object, right: object) -> bool:
        numbers = is_number(left) and is_number(right)
        if numbers or any(isinstance(left, kind) and isinstance(right, kind) for kind in (str, Time, Duration)):
            return compare(left, right)
        raise _invalid(left, op, right)

    return ordered


less, more = _order("<", operator.lt), _order(">", operator.gt)


def contains(left: object, right: object) -> bool:
    """Whether the text `left` has `right` in it; false when one of them is nil."""
    return not (is_nil(left) or is_nil(right)) and as_text(right) in as_text(left)


def _at_end(test: Callable[[str, str], bool]) -> Callable[[object, object], bool]:
    """A test of the beginning or the end of a text; false when one side is nil."""
    return lambda left, right: not (is_nil(left) or is_nil(right)) and test(as_text(left), as_text(right))


def matches(left: object, right: object) -> bool:
    """Whether the pattern `right` is found in the text `left`; false when one of them is nil."""
    return not (is_nil(left) or is_nil(right)) and pattern_found(as_text(right), as_text(left))


def is_in(needle: object, haystack: object) -> bool:
    """Whether `needle` is an element of an array or a key of a map. Raises Fault for other haystacks."""
    if haystack is None or isinstance(haystack, NilMap):
        return False
    if isinstance(haystack, range):
        return isinstance(needle, (int, float)) and not isinstance(needle, bool) and needle in haystack
    if is_array(haystack):
        return any(equal(item, needle) for item in haystack)
    if isinstance(haystack, Mapping):
        return map_key(haystack, needle) in haystack
    raise Fault(f'operator "in" not defined on {type_name(haystack)}')


def is_in_texts(needle: object, texts: frozenset[str]) -> bool:
    """Whether `needle` is one of the texts of a literal array. Raises Fault when it is neither text nor nil."""
    return (needle if isinstance(needle, str) else map_key({}, needle)) in texts


def pattern_found(pattern: str, text: str) -> bool:
    """Whether `pattern` matches anywhere in `text`. Raises Fault for a malformed pattern."""
    try:
        return regexp.matches(pattern, text)
    except regexp.PatternError as error:
        raise Fault(str(error)) from None


BINARY: dict[str, Callable[[object, object], object]] = {
    "==": equal,
    "!=": lambda left, right: not equal(left, right),
    "<": less,
    ">": more,
    "<=": _order("<=", operator.le),
    ">=": _order(">=", operator.ge),
    "+": add,
    "-": subtract,
    "*": multiply,
    "/": divide,
    "%": modulo,
    "**": power,
    "^": power,
    "in": is_in,
    "contains": contains,
    "startsWith": _at_end(str.startswith),
    "endsWith": _at_end(str.endswith),
    "matches": matches,
}
