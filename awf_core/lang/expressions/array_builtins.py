"""The builtins on arrays and maps: first, keys, sort, concat, ... Called by the table. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cmp_to_key

from awf_core.lang.expressions.access import fetch, fetch_or_nil, hashable
from awf_core.lang.expressions.errors import Fault
from awf_core.lang.expressions.evaluation import Budget
from awf_core.lang.expressions.natures import (
    ANY,
    ANY_MAP,
    ARRAY,
    FLOAT_ARRAY,
    INT,
    INT_ARRAY,
    TEXT,
    TEXT_ARRAY,
    Nature,
    element,
)
from awf_core.lang.expressions.operators import equal, less
from awf_core.lang.expressions.signatures import BuiltinFunction, expect_count, over, shown, takes
from awf_core.lang.expressions.values import AnyMap, as_text, is_array, is_int, is_number, type_name
from awf_core.lang.go.text import StringList


def _length(values: Sequence[object], _: Budget) -> object:
    value = values[0]
    if is_array(value) or isinstance(value, (str, dict)):
        return len(value)
    raise Fault(f"invalid argument for len (type {type_name(value)})")


def _end(name: str, position: int) -> BuiltinFunction:
    """`first` or `last`: None where there is no element."""

    def compute(values: Sequence[object], _: Budget) -> object:
        try:
            return fetch(values[0], position)
        except Fault:
            return None

    def check(arguments: Sequence[Nature]) -> Nature:
        over(f"cannot get {name} element from {{}}", "array")(arguments)
        return ANY if arguments[0].unknown else element(arguments[0])

    return BuiltinFunction(name=name, compute=compute, result_of=check)


def _get(values: Sequence[object], _: Budget) -> object:
    return fetch_or_nil(values[0], values[1])


def _take(values: Sequence[object], budget: Budget) -> object:
    items, count = _array("cannot take from {}", values[0]), values[1]
    if not is_int(count):
        raise Fault(f"cannot take {_kind(count)} elements")
    if count < 0:
        raise Fault("reflect.Value.Slice: slice index out of bounds")
    budget.spend(min(count, len(items)))
    taken = items[: int(count)]
    return StringList(taken) if isinstance(items, StringList) else list(taken)


def _on_map(name: str, problem: str, read: Callable[[Mapping[object, object]], list[object]]) -> BuiltinFunction:
    """A builtin that lists something of a map; `problem` is the error for anything else: "cannot get keys from int"."""

    def compute(values: Sequence[object], _: Budget) -> object:
        if isinstance(values[0], dict):
            return read(values[0])
        raise Fault(problem.format(_kind(values[0])))

    return BuiltinFunction(name=name, compute=compute, result_of=over(problem, "map", gives=ARRAY))


def _on_array(
    name: str, problem: str, compute: Callable[[Sequence[object], Budget], object], *, gives: Nature = ARRAY
) -> BuiltinFunction:
    """A builtin on one array; `problem` is the error for anything else: "cannot reverse int"."""
    return BuiltinFunction(
        name=name,
        compute=lambda values, budget: compute(_array(problem, values[0]), budget),
        result_of=over(problem, "array", gives=gives),
    )


def _from_pairs(items: Sequence[object], _: Budget) -> object:
    result = AnyMap()
    for pair in items:
        if not is_array(pair):
            raise Fault(f"invalid pair {type_name(pair)}")
        if len(pair) != 2:
            raise Fault(f"invalid pair length {len(pair)}")
        result[hashable(pair[0])] = pair[1]
    return result


def _reverse(items: Sequence[object], budget: Budget) -> object:
    budget.spend(len(items))
    return list(reversed(items))


def _uniq(items: Sequence[object], budget: Budget) -> object:
    seen: set[tuple[bool, object]] = set()
    result: list[object] = []
    for item in items:
        if item is None or isinstance(item, (str, bool)) or is_number(item):
            # Python takes True for 1; the language does not.
            key = (isinstance(item, bool), item)
            if key not in seen:
                seen.add(key)
                result.append(item)
        else:
            # Comparing deeply costs more than one element.
            budget.spend(8 * len(result))
            if not any(equal(item, other) for other in result):
                result.append(item)
    return result


def _concat(values: Sequence[object], budget: Budget) -> object:
    result: list[object] = []
    for value in values:
        items = _array("cannot concat {}", value)
        budget.spend(len(items))
        result.extend(items)
    return result


def _flatten(items: Sequence[object], budget: Budget) -> object:
    result: list[object] = []
    pending = list(reversed(items))
    while pending:
        budget.spend(1)
        value = pending.pop()
        if is_array(value):
            budget.spend(len(value))
            pending.extend(reversed(value))
        else:
            result.append(value)
    return result


def _sort(values: Sequence[object], budget: Budget) -> object:
    order = as_text(values[1]) if len(values) == 2 else "asc"
    if order not in {"asc", "desc"}:
        raise Fault(f"invalid order {order}, expected asc or desc")
    if not is_array(values[0]):
        return []
    return sort_by(values[0], values[0], budget, descending=order == "desc")


def sort_by(items: Sequence[object], keys: Sequence[object], budget: Budget, *, descending: bool) -> list[object]:
    """`items` in the order of `keys`, which stand for them one by one. Raises Fault for keys without order."""
    budget.spend(len(items))

    def order(one: int, other: int) -> int:
        return -1 if less(keys[one], keys[other]) else 1 if less(keys[other], keys[one]) else 0

    by_key = cmp_to_key(order)
    return [items[position] for position in sorted(range(len(items)), key=by_key, reverse=descending)]


def _array(problem: str, value: object) -> Sequence[object]:
    if is_array(value):
        return value
    raise Fault(problem.format(_kind(value)))


def _kind(value: object) -> str:
    if value is None:
        return "invalid"
    if is_array(value):
        return "slice"
    return "map" if isinstance(value, dict) else type_name(value)


def _check_take(arguments: Sequence[Nature]) -> Nature:
    expect_count(arguments, 2)
    if arguments[0].kind != "array" and not arguments[0].unknown:
        raise Fault(f"cannot take from {shown(arguments[0])}")
    if arguments[1].kind != "int" and not arguments[1].unknown:
        raise Fault(f"cannot take {shown(arguments[1])} elements")
    return arguments[0]


def _check_concat(arguments: Sequence[Nature]) -> Nature:
    if not arguments:
        raise Fault("invalid number of arguments (expected at least 1, got 0)")
    for argument in arguments:
        if argument.kind != "array" and not argument.unknown:
            raise Fault(f"cannot concat {shown(argument)}")
    return ARRAY


_SORTABLE = (ARRAY, INT_ARRAY, FLOAT_ARRAY, TEXT_ARRAY)

ARRAY_BUILTINS = (
    BuiltinFunction(
        name="len",
        compute=_length,
        result_of=over("invalid argument for len (type {})", "array", "map", "string", gives=INT),
    ),
    _end("first", 0),
    _end("last", -1),
    BuiltinFunction(name="get", compute=_get),
    BuiltinFunction(name="take", compute=_take, result_of=_check_take),
    _on_map("keys", "cannot get keys from {}", list),
    _on_map("values", "cannot get values from {}", lambda found: list(found.values())),
    _on_map("toPairs", "cannot transform {} to pairs", lambda found: [[key, value] for key, value in found.items()]),
    _on_array("fromPairs", "cannot transform {} from pairs", _from_pairs, gives=ANY_MAP),
    _on_array("reverse", "cannot reverse {}", _reverse),
    _on_array("uniq", "cannot uniq {}", _uniq),
    BuiltinFunction(name="concat", compute=_concat, result_of=_check_concat),
    _on_array("flatten", "cannot flatten {}", _flatten),
    BuiltinFunction(
        name="sort",
        compute=_sort,
        overloads=tuple(takes(kind, TEXT, gives=ARRAY) for kind in _SORTABLE)
        + tuple(takes(kind, gives=ARRAY) for kind in _SORTABLE),
    ),
)
