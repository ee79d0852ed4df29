"""The part of the type check that is about calls: overloads, `get`, and what predicates give. Pure; raises Fault."""

from __future__ import annotations

from typing import TYPE_CHECKING

from awf_core.lang.expressions.errors import Fault
from awf_core.lang.expressions.natures import (
    ARRAY,
    BOOL,
    GROUPS,
    INT,
    MAP,
    TEXT,
    UNKNOWN,
    Nature,
    array_of,
    assignable,
    element,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awf_core.lang.expressions.signatures import Overload

_YIELDS_BOOL = frozenset({"all", "none", "any", "one"})
_TAKES_ANYTHING = frozenset({"map", "sum", "groupBy", "sortBy", "reduce"})


def overloaded(name: str, overloads: Sequence[Overload], arguments: Sequence[tuple[Nature, int]], at: int) -> Nature:
    """The result of the first overload that takes `arguments` (type and place of each). Raises the last one's Fault."""
    problem: Fault | None = None
    for overload in overloads:
        problem = _mismatch(name, overload, arguments, at)
        if problem is None:
            return overload.gives
    assert problem is not None
    raise problem


def _mismatch(name: str, overload: Overload, arguments: Sequence[tuple[Nature, int]], at: int) -> Fault | None:
    if len(arguments) != len(overload.takes):
        amount = "too many" if len(arguments) > len(overload.takes) else "not enough"
        return Fault(f"{amount} arguments to call {name}", at)
    for (given, place), wanted in zip(arguments, overload.takes, strict=True):
        if given.kind == "nil" and wanted.kind != "any":
            return Fault(f"cannot use nil as argument (type {wanted.text}) to call {name}", place)
        if not given.unknown and given.kind != "nil" and not assignable(given, wanted):
            return Fault(f"cannot use {given.text} as argument (type {wanted.text}) to call {name} ", place)
    return None


def get(arguments: Sequence[tuple[Nature, int]], at: int) -> Nature:
    """The result of `get(base, key)`."""
    if len(arguments) != 2:
        raise Fault(f"invalid number of arguments (expected 2, got {len(arguments)})", at)
    (base, base_at), (key, key_at) = arguments
    if base.unknown:
        return UNKNOWN
    if base.kind == "array":
        if key.kind != "int" and not key.unknown:
            raise Fault(f"non-integer slice index {key.text}", key_at)
        return element(base)
    if base.kind == "map":
        if base is MAP and not key.unknown and key != TEXT:
            raise Fault(f"cannot use {key.text} to get an element from {base.text}", key_at)
        return element(base)
    raise Fault(f"type {base.text} does not support indexing", base_at)


def predicate(name: str, result: Nature, at: int) -> None:
    """Raises Fault when the predicate of `name` can't be what that needs."""
    if result.kind == "nil":
        raise Fault("predicate should has one input and one output param", at)
    if name not in _TAKES_ANYTHING and result.kind != "bool" and not result.unknown:
        raise Fault(f"predicate should return boolean (got {result.text})", at)


def predicate_result(name: str, collection: Nature, result: Nature | None) -> Nature:
    """What the builtin `name` gives for a collection, when its predicate gives `result`."""
    item = UNKNOWN if collection.unknown else element(collection)
    if name in _YIELDS_BOOL:
        return BOOL
    if name in {"count", "findIndex", "findLastIndex"}:
        return INT
    if name == "filter":
        return ARRAY if collection.unknown else array_of(item)
    if name == "map":
        return array_of(result if result is not None else UNKNOWN)
    if name == "groupBy":
        return GROUPS
    if name == "sortBy":
        return collection
    if name in {"sum", "reduce"} and result is not None:
        return result
    return item
