"""Code for operators. Called by the emitter with the code of the operands.

`&&`, `||` and `??` evaluate the right side only when they have to. Comparing with a literal takes a faster path.
"""

from __future__ import annotations

from collections.abc import Callable

from awf_core.lang.expressions import operators
from awf_core.lang.expressions.errors import Fault
from awf_core.lang.expressions.evaluation import Code, Frame
from awf_core.lang.expressions.nodes import Binary, Constant, Unary
from awf_core.lang.expressions.operators import negate
from awf_core.lang.expressions.values import as_bool, asserted, is_nil, to_int


def emit_unary(node: Unary, operand: Code) -> Code:
    """The code of `node`."""
    if node.op == "+":
        return operand
    return _one_sided(negate if node.op == "-" else _opposite, operand, node.at)


def _one_sided(compute: Callable[[object], object], operand: Code, at: int) -> Code:
    def run(frame: Frame) -> object:
        value = operand(frame)
        try:
            return compute(value)
        except Fault as fault:
            raise Fault(fault.message, at) from None

    return run


def _opposite(value: object) -> bool:
    return not as_bool(value)


def emit_binary(node: Binary, left: Code, right: Code) -> Code:
    """The code of `node`."""
    if node.op in {"and", "&&"}:
        return _logic(left, right, node.at, goes_on=True)
    if node.op in {"or", "||"}:
        return _logic(left, right, node.at, goes_on=False)
    if node.op == "??":
        return _coalesce(left, right)
    if node.op == "..":
        return _range(left, right, node.at)
    if isinstance(node.right, Constant):
        special = _with_literal(node, left, node.right.value)
        if special is not None:
            return special
    return _both(operators.BINARY[node.op], left, right, node.at)


def _logic(left: Code, right: Code, at: int, *, goes_on: bool) -> Code:
    """The right side counts when the left one is `goes_on`; only the left one has to be a bool here."""

    def run(frame: Frame) -> object:
        value = left(frame)
        if value is goes_on:
            return right(frame)
        if value is True or value is False:
            return value
        raise Fault(asserted(value, "bool").message, at)

    return run


def _coalesce(left: Code, right: Code) -> Code:
    def run(frame: Frame) -> object:
        value = left(frame)
        return right(frame) if is_nil(value) else value

    return run


def _range(left: Code, right: Code, at: int) -> Code:
    def run(frame: Frame) -> object:
        first, last = left(frame), right(frame)
        try:
            start, end = to_int(first), to_int(last)
            frame.budget.spend(max(end - start + 1, 0))
        except Fault as fault:
            raise Fault(fault.message, at) from None
        return range(start, end + 1)

    return run


def _both(compute: Callable[[object, object], object], left: Code, right: Code, at: int) -> Code:
    def run(frame: Frame) -> object:
        one, other = left(frame), right(frame)
        try:
            return compute(one, other)
        except Fault as fault:
            raise Fault(fault.message, at) from None

    return run


def _with_literal(node: Binary, left: Code, literal: object) -> Code | None:
    if node.op in {"==", "!="}:
        return _equals_literal(left, literal, wanted=node.op == "==")
    if node.op == "matches" and isinstance(literal, str):
        return _one_sided(lambda value: operators.matches(value, literal), left, node.at)
    if node.op == "in" and isinstance(literal, frozenset):
        return _one_sided(lambda value: operators.is_in_texts(value, literal), left, node.at)
    return None


def _equals_literal(left: Code, literal: object, *, wanted: bool) -> Code:
    kind = type(literal)
    if kind not in {int, str}:
        return lambda frame: operators.equal(left(frame), literal) is wanted

    def run(frame: Frame) -> object:
        value = left(frame)
        if type(value) is kind:
            return (value == literal) is wanted
        return operators.equal(value, literal) is wanted

    return run
