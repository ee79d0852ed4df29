"""The part of the type check that is about operators.

Called by the checker. Pure; raises Fault at the operator for types that can't go together.
"""

from __future__ import annotations

from collections.abc import Callable

from awf_core.lang.expressions import natures
from awf_core.lang.expressions.errors import Fault
from awf_core.lang.expressions.natures import Nature
from awf_core.lang.expressions.nodes import Binary, Unary

_NUMBERS = ("int", "float")


def unary_nature(node: Unary, operand: Nature) -> Nature:
    """The type of `node`, whose operand has the type `operand`."""
    if node.op in {"!", "not"}:
        if operand.kind == "bool" or operand.unknown:
            return natures.BOOL
    elif operand.number:
        return operand
    elif operand.unknown:
        return natures.UNKNOWN
    raise Fault(f"invalid operation: {node.op} (mismatched type {operand.text})", node.at)


def binary_nature(node: Binary, left: Nature, right: Nature) -> Nature:
    """The type of `node`, whose sides have the types `left` and `right`."""
    found = _membership(node, left, right) if node.op == "in" else _RULES[node.op](left, right)
    if found is None:
        raise Fault(f"invalid operation: {node.op} (mismatched types {left.text} and {right.text})", node.at)
    return found


def _equality(left: Nature, right: Nature) -> Nature | None:
    return natures.BOOL if natures.comparable(left, right) else None


def _order(left: Nature, right: Nature) -> Nature | None:
    both_numbers = left.number and right.number
    same = left.kind == right.kind and left.kind in {"string", "time", "duration"}
    fits = both_numbers or same or natures.compatible(left, right, *_NUMBERS, "string", "time", "duration")
    return natures.BOOL if fits else None


def _sum(left: Nature, right: Nature) -> Nature | None:
    if left.number and right.number:
        return _wider(left, right)
    known = {
        ("string", "string"): natures.TEXT,
        ("time", "duration"): natures.TIME,
        ("duration", "time"): natures.TIME,
        ("duration", "duration"): natures.DURATION,
    }.get((left.kind, right.kind))
    if known is not None:
        return known
    return natures.UNKNOWN if natures.compatible(left, right, *_NUMBERS, "string", "time", "duration") else None


def _difference(left: Nature, right: Nature) -> Nature | None:
    if left.number and right.number:
        return _wider(left, right)
    known = {
        ("time", "time"): natures.DURATION,
        ("time", "duration"): natures.TIME,
        ("duration", "duration"): natures.DURATION,
    }.get((left.kind, right.kind))
    if known is not None:
        return known
    return natures.UNKNOWN if natures.compatible(left, right, *_NUMBERS, "time", "duration") else None


def _product(left: Nature, right: Nature) -> Nature | None:
    if left.number and right.number:
        return _wider(left, right)
    if {left.kind, right.kind} <= {"int", "float", "duration"}:
        return natures.DURATION
    return natures.UNKNOWN if natures.compatible(left, right, *_NUMBERS, "duration") else None


def _wider(left: Nature, right: Nature) -> Nature:
    return natures.FLOAT if "float" in {left.kind, right.kind} else natures.INT


def _quotient(left: Nature, right: Nature) -> Nature | None:
    fits = (left.number and right.number) or natures.compatible(left, right, *_NUMBERS)
    return natures.FLOAT if fits else None


def _both(kind: str, *, gives: Nature) -> Callable[[Nature, Nature], Nature | None]:
    """A rule that wants `kind` on both sides."""

    def rule(left: Nature, right: Nature) -> Nature | None:
        return gives if left.kind == right.kind == kind or natures.compatible(left, right, kind) else None

    return rule


def _coalesce(left: Nature, right: Nature) -> Nature | None:
    if left.kind == "nil":
        return natures.NIL if right.kind == "nil" else right
    return left if right.kind == "nil" or natures.assignable(right, left) else natures.UNKNOWN


def _membership(node: Binary, left: Nature, right: Nature) -> Nature | None:
    if right.kind == "map":
        key = natures.key_of(right)
        if not left.unknown and not natures.assignable(left, key):
            raise Fault(f"cannot use {left.text} as type {key.text} in map key", node.at)
        return natures.BOOL
    if right.kind == "array":
        item = natures.element(right)
        if not natures.comparable(left, item):
            raise Fault(f"cannot use {left.text} as type {item.text} in array", node.at)
        return natures.BOOL
    return natures.BOOL if right.unknown or (left.unknown and right.kind == "string") else None


_logic = _both("bool", gives=natures.BOOL)
_text_test = _both("string", gives=natures.BOOL)
_RULES: dict[str, Callable[[Nature, Nature], Nature | None]] = {
    "==": _equality,
    "!=": _equality,
    "or": _logic,
    "||": _logic,
    "and": _logic,
    "&&": _logic,
    "<": _order,
    ">": _order,
    "<=": _order,
    ">=": _order,
    "+": _sum,
    "-": _difference,
    "*": _product,
    "/": _quotient,
    "**": _quotient,
    "^": _quotient,
    "%": _both("int", gives=natures.INT),
    "matches": _text_test,
    "contains": _text_test,
    "startsWith": _text_test,
    "endsWith": _text_test,
    "..": _both("int", gives=natures.array_of(natures.INT)),
    "??": _coalesce,
}
