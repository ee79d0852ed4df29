"""What a builtin is and how calls of it are checked before the run: overloads, `get`, what predicates give.

The tables of builtins are made of these; the checker reads them, the emitter calls them. Pure; raises Fault.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from awf_core.lang.expressions import natures
from awf_core.lang.expressions.errors import Fault
from awf_core.lang.expressions.evaluation import Budget
from awf_core.lang.expressions.natures import Nature

Compute: TypeAlias = Callable[[Sequence[object], Budget], object]
ResultOf: TypeAlias = Callable[[Sequence[Nature]], Nature]

_YIELDS_BOOL = frozenset({"all", "none", "any", "one"})
_TAKES_ANYTHING = frozenset({"map", "sum", "groupBy", "sortBy", "reduce"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Overload:
    """One accepted list of argument types, and the type of the result."""

    takes: tuple[Nature, ...]
    gives: Nature


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltinFunction:
    """A builtin without predicate. Checked by `overloads`, or by `result_of`, which raises Fault for wrong arguments.

    `compute` gets the values and the evaluation's budget, and raises Fault when it can't go on.
    """

    name: str
    compute: Compute
    overloads: tuple[Overload, ...] = ()
    result_of: ResultOf | None = None


def takes(*natures: Nature, gives: Nature) -> Overload:
    """Shorthand for an Overload."""
    return Overload(takes=natures, gives=gives)


def expect_count(arguments: Sequence[object], count: int) -> None:
    """Raises Fault unless there are `count` arguments."""
    if len(arguments) != count:
        raise Fault(f"invalid number of arguments (expected {count}, got {len(arguments)})")


def one_of(name: str, *kinds: str, gives: Nature | None = None) -> ResultOf:
    """A check for one argument of these kinds (or unknown); the result is `gives`, or what the argument is."""

    def check(arguments: Sequence[Nature]) -> Nature:
        expect_count(arguments, 1)
        if arguments[0].kind not in kinds and not arguments[0].unknown:
            raise Fault(f"invalid argument for {name} (type {shown(arguments[0])})")
        return gives if gives is not None else arguments[0]

    return check


def aggregate(name: str) -> ResultOf:
    """The check of `min`, `max`, `mean` and `median`: numbers and arrays of numbers."""

    def check(arguments: Sequence[Nature]) -> Nature:
        if not arguments:
            raise Fault(f"not enough arguments to call {name}")
        for argument in arguments:
            if argument.unknown or argument.kind == "array":
                return natures.ANY
            if not argument.number:
                raise Fault(f"invalid argument for {name} (type {shown(argument)})")
        return arguments[0]

    return check


def over(verb: str, *kinds: str, gives: Nature | None = None) -> ResultOf:
    """A check for one collection; `verb` starts the error: "cannot reverse int"."""

    def check(arguments: Sequence[Nature]) -> Nature:
        expect_count(arguments, 1)
        if arguments[0].kind not in kinds and not arguments[0].unknown:
            raise Fault(verb.format(shown(arguments[0])))
        return gives if gives is not None else arguments[0]

    return check


def shown(nature: Nature) -> str:
    """The name of a type as these checks write it."""
    return "%!s(<nil>)" if nature.kind == "nil" else nature.text


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
        if not given.unknown and given.kind != "nil" and not natures.assignable(given, wanted):
            return Fault(f"cannot use {given.text} as argument (type {wanted.text}) to call {name} ", place)
    return None


def result_of_get(arguments: Sequence[tuple[Nature, int]], at: int) -> Nature:
    """The result of `get(base, key)`."""
    if len(arguments) != 2:
        raise Fault(f"invalid number of arguments (expected 2, got {len(arguments)})", at)
    (base, base_at), (key, key_at) = arguments
    if base.unknown:
        return natures.UNKNOWN
    if base.kind == "array":
        if key.kind != "int" and not key.unknown:
            raise Fault(f"non-integer slice index {key.text}", key_at)
        return natures.element(base)
    if base.kind == "map":
        if base is natures.MAP and not key.unknown and key != natures.TEXT:
            raise Fault(f"cannot use {key.text} to get an element from {base.text}", key_at)
        return natures.element(base)
    raise Fault(f"type {base.text} does not support indexing", base_at)


def check_predicate(name: str, result: Nature, at: int) -> None:
    """Raises Fault when the predicate of `name` can't be what that needs."""
    if result.kind == "nil":
        raise Fault("predicate should has one input and one output param", at)
    if name not in _TAKES_ANYTHING and result.kind != "bool" and not result.unknown:
        raise Fault(f"predicate should return boolean (got {result.text})", at)


def predicate_result(name: str, collection: Nature, result: Nature | None) -> Nature:
    """What the builtin `name` gives for a collection, when its predicate gives `result`."""
    item = natures.UNKNOWN if collection.unknown else natures.element(collection)
    if name in _YIELDS_BOOL:
        return natures.BOOL
    if name in {"count", "findIndex", "findLastIndex"}:
        return natures.INT
    if name == "filter":
        return natures.ARRAY if collection.unknown else natures.array_of(item)
    if name == "map":
        return natures.array_of(result if result is not None else natures.UNKNOWN)
    if name == "groupBy":
        return natures.GROUPS
    if name == "sortBy":
        return collection
    if name in {"sum", "reduce"} and result is not None:
        return result
    return item
