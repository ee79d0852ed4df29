"""Compute the constant parts of a tree before the run.

Called by `expression.py` after the check. Results depend on it: `x && false` is false without evaluating `x`, so an
error in `x` does not show, and `x && true` is `x`, as in the original engine. Pure; raises Fault for `7 % 0`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from awf_core.lang.expressions import operators
from awf_core.lang.expressions.errors import Fault
from awf_core.lang.expressions.nodes import (
    ArrayLiteral,
    Binary,
    Call,
    Constant,
    Member,
    Node,
    Unary,
)
from awf_core.lang.expressions.values import is_int, is_number

_ARITHMETIC: dict[str, Callable[[object, object], object]] = {
    "+": operators.add,
    "-": operators.subtract,
    "*": operators.multiply,
    "/": operators.divide,
    "**": operators.power,
    "^": operators.power,
}


def fold(node: Node) -> Node:
    """`node` with its constant parts computed."""
    if isinstance(node, Binary):
        return _binary(node)
    if isinstance(node, Call) and not isinstance(node.callee, Member):
        return replace(node, arguments=tuple(map(fold, node.arguments)))
    node = node.with_children(fold)
    if isinstance(node, Unary):
        return _unary(node)
    return _array(node) if isinstance(node, ArrayLiteral) else node


def _array(node: ArrayLiteral) -> Node:
    values = [item.value for item in node.items if isinstance(item, Constant)]
    scalars = all(isinstance(value, (bool, int, float, str)) for value in values)
    if values and scalars and len(values) == len(node.items):
        return Constant(at=node.at, value=values)
    return node


def _unary(node: Unary) -> Node:
    if not isinstance(node.operand, Constant):
        return node
    value = node.operand.value
    if node.op in {"!", "not"}:
        return Constant(at=node.at, value=not value) if isinstance(value, bool) else node
    if not is_number(value):
        return node
    return Constant(at=node.at, value=operators.negate(value) if node.op == "-" else value)


def _binary(node: Binary) -> Node:
    if node.op == "in" and (texts := _text_set(node.right)) is not None:
        return replace(node, left=fold(node.left), right=Constant(at=node.right.at, value=texts))
    node = replace(node, left=fold(node.left), right=fold(node.right))
    if node.op in {"and", "&&"}:
        return _logic(node, neutral=True)
    if node.op in {"or", "||"}:
        return _logic(node, neutral=False)
    if isinstance(node.left, Constant) and isinstance(node.right, Constant):
        return _constants(node, node.left.value, node.right.value)
    return node


def _text_set(node: Node) -> frozenset[str] | None:
    """The texts of an array of text literals; searching one is a look-up, as in the original."""
    if not isinstance(node, ArrayLiteral) or not node.items:
        return None
    values = [item.value for item in node.items if isinstance(item, Constant) and isinstance(item.value, str)]
    return frozenset(values) if len(values) == len(node.items) else None


def _logic(node: Binary, *, neutral: bool) -> Node:
    """`&&` (neutral: true) and `||` (neutral: false) with a constant on a side."""
    if _is(node.left, wanted=neutral):
        return replace(node.right, at=node.at)
    if _is(node.right, wanted=neutral):
        return replace(node.left, at=node.at)
    if _is(node.left, wanted=not neutral) or _is(node.right, wanted=not neutral):
        return Constant(at=node.at, value=not neutral)
    return node


def _is(node: Node, *, wanted: bool) -> bool:
    return isinstance(node, Constant) and node.value is wanted


def _constants(node: Binary, left: object, right: object) -> Node:
    numbers = is_number(left) and is_number(right)
    texts = isinstance(left, str) and isinstance(right, str)
    if node.op in _ARITHMETIC and (numbers or (texts and node.op == "+")):
        return Constant(at=node.at, value=_ARITHMETIC[node.op](left, right))
    if node.op == "%" and is_int(left) and is_int(right):
        if right == 0:
            raise Fault("integer divide by zero", node.at)
        return Constant(at=node.at, value=operators.modulo(left, right))
    if node.op == "==" and type(left) is type(right) and isinstance(left, (int, str)):
        return Constant(at=node.at, value=left == right)
    return node
