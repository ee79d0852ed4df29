"""`+ - * / % **` on values, in 64-bit integers and floats. Called by the operators, the folder and `sum`. Pure.

`/` is always a float, `%` is for integers only, overflow wraps around, division by zero is infinite.
"""

from __future__ import annotations

import math

from awf_core.lang.expressions.errors import Fault
from awf_core.lang.expressions.evaluation import check_text_size
from awf_core.lang.expressions.values import float_of, is_int, is_number, to_float, type_name
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
