"""The builtins on numbers: conversions, rounding, aggregates, bits. Called by the table. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from awf_core.lang.expressions.errors import Fault
from awf_core.lang.expressions.evaluation import Budget
from awf_core.lang.expressions.natures import FLOAT, INT
from awf_core.lang.expressions.operators import less, more, negate
from awf_core.lang.expressions.signatures import BuiltinFunction, Compute, aggregate, one_of, takes
from awf_core.lang.expressions.values import float_of, is_array, is_int, is_number, type_name
from awf_core.lang.go.numbers import parse_float, parse_int, truncated, wrapped
from awf_core.lang.go.times import Duration


def _int(values: Sequence[object], _: Budget) -> object:
    value = values[0]
    if isinstance(value, Duration):
        return value.nanoseconds
    return truncated(value) if is_number(value) else _parsed("int", value, parse_int)


def _float(values: Sequence[object], _: Budget) -> object:
    value = values[0]
    return float_of(value) if is_number(value) else _parsed("float", value, parse_float)


def _parsed(name: str, value: object, parse: Callable[[str], int | float | None]) -> int | float:
    if not isinstance(value, str):
        raise Fault(f"invalid operation: {name}({type_name(value)})")
    found = parse(value)
    if found is None:
        raise Fault(f"invalid operation: {name}({value})")
    return found


def _abs(values: Sequence[object], _: Budget) -> object:
    value = _number("abs", values[0])
    return negate(value) if value < 0 else value


def _number(name: str, value: object) -> int | float:
    if is_number(value):
        return value
    raise Fault(f"invalid argument for {name} (type {type_name(value)})")


def _rounding(name: str, to_whole: Callable[[float], int]) -> BuiltinFunction:
    def compute(values: Sequence[object], _: Budget) -> object:
        value = float_of(_number(name, values[0]))
        return float(to_whole(value)) if math.isfinite(value) else value

    return BuiltinFunction(name=name, compute=compute, result_of=one_of(name, "int", "float", gives=FLOAT))


def _half_away_from_zero(value: float) -> int:
    whole = math.trunc(value)
    return whole + int(math.copysign(1, value)) if abs(value - whole) >= 0.5 else whole


def _extreme(name: str, worse: Callable[[object, object], bool]) -> Compute:
    def compute(values: Sequence[object], budget: Budget) -> object:
        if len(values) == 1 and not is_array(values[0]):
            return values[0]
        best: object = None
        for value in _numbers(name, values, budget):
            if best is None or worse(best, value):
                best = value
        return best

    return compute


def _mean(values: Sequence[object], budget: Budget) -> object:
    numbers = [float_of(value) for value in _numbers("mean", values, budget)]
    return sum(numbers) / len(numbers) if numbers else 0.0


def _median(values: Sequence[object], budget: Budget) -> object:
    numbers = sorted(float_of(value) for value in _numbers("median", values, budget))
    if not numbers:
        return 0.0
    middle = len(numbers) // 2
    return numbers[middle] if len(numbers) % 2 else (numbers[middle - 1] + numbers[middle]) / 2


def _numbers(name: str, values: Sequence[object], budget: Budget) -> Iterator[int | float]:
    """The numbers in `values` and in the arrays among them, at any depth."""
    pending = list(reversed(values))
    while pending:
        value = pending.pop()
        budget.spend(1)
        if is_array(value):
            budget.spend(len(value))
            pending.extend(reversed(value))
        else:
            yield _number(name, value)


def _bits(name: str, combine: Callable[[int, int], int]) -> BuiltinFunction:
    def compute(values: Sequence[object], _: Budget) -> object:
        left, right = _bit_operand(name, values[0]), _bit_operand(name, values[1])
        return wrapped(combine(left, right))

    return BuiltinFunction(name=name, compute=compute, overloads=(takes(INT, INT, gives=INT),))


def _bit_operand(name: str, value: object) -> int:
    if is_int(value):
        return int(value)
    raise Fault(f"cannot use {type_name(value)} as argument (type int) to call {name}")


def _bit_not(values: Sequence[object], _: Budget) -> object:
    return ~_bit_operand("bitnot", values[0])


def _shift(count: int) -> int:
    if count < 0:
        raise Fault(f"invalid operation: negative shift count {count} (type int)")
    return min(count, 64)


_SCALARS = ("int", "float", "string")

NUMBER_BUILTINS = (
    BuiltinFunction(name="int", compute=_int, result_of=one_of("int", *_SCALARS, "duration", gives=INT)),
    BuiltinFunction(name="float", compute=_float, result_of=one_of("float", *_SCALARS, gives=FLOAT)),
    BuiltinFunction(name="abs", compute=_abs, result_of=one_of("abs", "int", "float")),
    _rounding("ceil", math.ceil),
    _rounding("floor", math.floor),
    _rounding("round", _half_away_from_zero),
    BuiltinFunction(name="max", compute=_extreme("max", less), result_of=aggregate("max")),
    BuiltinFunction(name="min", compute=_extreme("min", more), result_of=aggregate("min")),
    BuiltinFunction(name="mean", compute=_mean, result_of=aggregate("mean")),
    BuiltinFunction(name="median", compute=_median, result_of=aggregate("median")),
    _bits("bitand", lambda left, right: left & right),
    _bits("bitor", lambda left, right: left | right),
    _bits("bitxor", lambda left, right: left ^ right),
    _bits("bitnand", lambda left, right: left & ~right),
    _bits("bitshl", lambda left, right: left << _shift(right)),
    _bits("bitshr", lambda left, right: left >> _shift(right)),
    _bits("bitushr", lambda left, right: (left % 2**64) >> _shift(right)),
    BuiltinFunction(name="bitnot", compute=_bit_not, overloads=(takes(INT, gives=INT),)),
)
