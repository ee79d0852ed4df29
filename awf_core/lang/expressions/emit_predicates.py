"""Code for the builtins that take a predicate: `all`, `filter`, `map`, `reduce`, ... Called by the emitter.

Each round sets what `#` and `#index` stand for; the rounds count against the evaluation's budget.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from awf_core.lang.expressions.access import hashable
from awf_core.lang.expressions.array_builtins import sort_by
from awf_core.lang.expressions.errors import Fault
from awf_core.lang.expressions.evaluation import Code, Frame
from awf_core.lang.expressions.nodes import Builtin
from awf_core.lang.expressions.operators import add
from awf_core.lang.expressions.values import AnyMap, as_bool, is_array, type_name
from awf_core.lang.go.text import Uint8

Compute: TypeAlias = Callable[[Frame, Sequence[object], Code, Code | None], object]
Rounds: TypeAlias = Iterator[tuple[int, object, object]]


def emit_predicate_call(node: Builtin, arguments: Sequence[Code]) -> Code:
    """The code of `node`, whose arguments have the code `arguments`."""
    source, at = arguments[0], node.at
    body = arguments[1] if len(arguments) > 1 else _item
    extra = arguments[2] if len(arguments) > 2 else None
    compute = _COMPUTE[node.name]

    def run(frame: Frame) -> object:
        items = source(frame)
        outer = frame.item, frame.index, frame.acc
        try:
            return compute(frame, _elements(items), body, extra)
        except Fault as fault:
            raise fault if fault.at is not None else Fault(fault.message, at) from None
        finally:
            frame.item, frame.index, frame.acc = outer

    return run


def _item(frame: Frame) -> object:
    return frame.item


def _elements(value: object) -> Sequence[object]:
    if is_array(value):
        return value
    if isinstance(value, str):
        return [Uint8(byte) for byte in value.encode(errors="surrogateescape")]
    if isinstance(value, dict):
        if not value:
            return []
        raise Fault("reflect: call of reflect.Value.Index on map Value")
    kind = "zero" if value is None else type_name(value)
    raise Fault(f"reflect: call of reflect.Value.Len on {kind} Value")


def _rounds(frame: Frame, items: Sequence[object], body: Code, *, backwards: bool = False) -> Rounds:
    """Position, element and the predicate's value, one element after the other."""
    positions = range(len(items))
    for position in reversed(positions) if backwards else positions:
        frame.budget.round()
        item = frame.item = items[position]
        frame.index = position
        yield position, item, body(frame)


def _over_rounds(value_of: Callable[[Rounds], object]) -> Compute:
    """A builtin that runs its predicate once for each element, first to last."""
    return lambda frame, items, body, _: value_of(_rounds(frame, items, body))


def _sum(rounds: Rounds) -> object:
    total: object = 0
    for _position, _item, value in rounds:
        total = add(value, total)
    return total


def _group_by(rounds: Rounds) -> object:
    groups = AnyMap()
    for _position, item, value in rounds:
        group = groups.setdefault(hashable(value), [])
        assert isinstance(group, list)
        group.append(item)
    return groups


def _truths(rounds: Rounds) -> Iterator[bool]:
    return (as_bool(value) for _position, _item, value in rounds)


def _finder(*, gives_position: bool, backwards: bool = False) -> Compute:
    def find(frame: Frame, items: Sequence[object], body: Code, _: Code | None) -> object:
        for position, item, value in _rounds(frame, items, body, backwards=backwards):
            if as_bool(value):
                return position if gives_position else item
        return None

    return find


def _sort_by(frame: Frame, items: Sequence[object], body: Code, extra: Code | None) -> object:
    order = extra(frame) if extra is not None else "asc"
    if order not in ("asc", "desc"):
        raise Fault("unknown order, use asc or desc")
    keys = [value for _position, _item, value in _rounds(frame, items, body)]
    return sort_by(items, keys, frame.budget, descending=order == "desc")


def _reduce(frame: Frame, items: Sequence[object], body: Code, extra: Code | None) -> object:
    first = 0
    if extra is not None:
        frame.acc = extra(frame)
    elif items:
        frame.acc, first = items[0], 1
    else:
        raise Fault("reflect: slice index out of range")
    for position in range(first, len(items)):
        frame.budget.round()
        frame.item, frame.index = items[position], position
        frame.acc = body(frame)
    return frame.acc


_COMPUTE: dict[str, Compute] = {
    "all": _over_rounds(lambda rounds: all(_truths(rounds))),
    "none": _over_rounds(lambda rounds: not any(_truths(rounds))),
    "any": _over_rounds(lambda rounds: any(_truths(rounds))),
    "one": _over_rounds(lambda rounds: sum(_truths(rounds)) == 1),
    "count": _over_rounds(lambda rounds: sum(_truths(rounds))),
    "filter": _over_rounds(lambda rounds: [item for _position, item, value in rounds if as_bool(value)]),
    "map": _over_rounds(lambda rounds: [value for _position, _item, value in rounds]),
    "sum": _over_rounds(_sum),
    "find": _finder(gives_position=False),
    "findIndex": _finder(gives_position=True),
    "findLast": _finder(gives_position=False, backwards=True),
    "findLastIndex": _finder(gives_position=True, backwards=True),
    "groupBy": _over_rounds(_group_by),
    "sortBy": _sort_by,
    "reduce": _reduce,
}
