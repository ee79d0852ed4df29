"""When two values are equal, and which is less. Called by the operators and by the builtins that compare. Pure.

Numbers are equal across their types; inside maps they are not, which is how the original compares maps.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from awf_core.lang.expressions.budget import MAX_WALK, Budget
from awf_core.lang.expressions.errors import Fault
from awf_core.lang.expressions.moments import Moment, Span
from awf_core.lang.expressions.values import float_of, is_array, is_nil, is_number, type_name


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


def less(left: object, right: object) -> bool:
    """Whether `left < right`. Raises Fault for types that have no order."""
    return _ordered(left, "<", right, operator.lt)


def more(left: object, right: object) -> bool:
    """Whether `left > right`. Raises Fault for types that have no order."""
    return _ordered(left, ">", right, operator.gt)


def less_or_equal(left: object, right: object) -> bool:
    """Whether `left <= right`. Raises Fault for types that have no order."""
    return _ordered(left, "<=", right, operator.le)


def more_or_equal(left: object, right: object) -> bool:
    """Whether `left >= right`. Raises Fault for types that have no order."""
    return _ordered(left, ">=", right, operator.ge)


def _ordered(left: object, op: str, right: object, compare: Callable[[Any, Any], bool]) -> bool:
    numbers = is_number(left) and is_number(right)
    if numbers or any(isinstance(left, kind) and isinstance(right, kind) for kind in (str, Moment, Span)):
        return compare(left, right)
    raise Fault(f"invalid operation: {type_name(left)} {op} {type_name(right)}")
