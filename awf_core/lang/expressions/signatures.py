"""What a builtin is: its name, how its arguments are checked before the run, and what it computes.

The tables of builtins are made of these; the checker reads them, the emitter calls them. Pure data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from awf_core.lang.expressions.errors import Fault
from awf_core.lang.expressions.natures import ANY, FLOAT, Nature

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    from awf_core.lang.expressions.evaluation import Budget

    Compute: TypeAlias = Callable[[Sequence[object], Budget], object]
    ResultOf: TypeAlias = Callable[[Sequence[Nature]], Nature]


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


def rounding(name: str) -> ResultOf:
    """The check of `ceil`, `floor` and `round`."""
    return one_of(name, "int", "float", gives=FLOAT)


def aggregate(name: str) -> ResultOf:
    """The check of `min`, `max`, `mean` and `median`: numbers and arrays of numbers."""

    def check(arguments: Sequence[Nature]) -> Nature:
        if not arguments:
            raise Fault(f"not enough arguments to call {name}")
        for argument in arguments:
            if argument.unknown or argument.kind == "array":
                return ANY
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
