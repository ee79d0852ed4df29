"""Compile a tree to Python closures once; an evaluation only calls them.

Called by `expression.py` on checked and folded trees. The emitted code raises Fault with the place of the operation.
"""

from __future__ import annotations

from collections.abc import Callable

from awf_core.lang.expressions import nodes
from awf_core.lang.expressions.access import fetch, slice_of
from awf_core.lang.expressions.builtin_table import BUILTINS
from awf_core.lang.expressions.emit_operators import emit_binary, emit_unary
from awf_core.lang.expressions.emit_predicates import emit_predicate_call
from awf_core.lang.expressions.environment import COMPUTED, Reader, name_reader, part_reader, state_reader
from awf_core.lang.expressions.errors import Fault
from awf_core.lang.expressions.evaluation import Code, Frame
from awf_core.lang.expressions.signatures import Compute
from awf_core.lang.expressions.values import as_bool, as_text, is_nil, type_name


def emit(node: nodes.Node) -> Code:
    """The code of `node`."""
    return _EMITTERS[type(node)](node)


def _constant(node: nodes.Constant) -> Code:
    value = node.value
    return lambda _: value


def _name(node: nodes.Name) -> Code:
    name, read = node.name, name_reader(node.name)
    if read is not None:
        return lambda frame: read(frame.scope)
    function = COMPUTED.get(name)
    return lambda frame: frame.variables.get(name, function)


class _ChainEnd(Exception):
    """Leaves an optional chain."""


def _member(node: nodes.Member) -> Code:
    read = _direct(node)
    if read is not None:
        return lambda frame: read(frame.scope)
    base, key, optional, at = emit(node.base), emit(node.key), node.optional, node.at

    def run(frame: Frame) -> object:
        value = base(frame)
        if optional and is_nil(value):
            raise _ChainEnd
        try:
            return fetch(value, key(frame))
        except Fault as fault:
            raise _placed(fault, at) from None

    return run


def _direct(node: nodes.Member) -> Reader | None:
    part = _literal_key(node)
    if part is None:
        return None
    if isinstance(node.base, nodes.Name):
        return part_reader(node.base.name, part)
    outer = node.base
    if not isinstance(outer, nodes.Member) or not isinstance(outer.base, nodes.Name) or outer.base.name != "states":
        return None
    state = _literal_key(outer)
    if state is None or node.optional:
        return None
    return state_reader(state, part, node.at)


def _literal_key(node: nodes.Member) -> str | None:
    key = node.key.value if isinstance(node.key, nodes.Constant) else None
    return key if isinstance(key, str) else None


def _chain(node: nodes.Chain) -> Code:
    body = emit(node.body)

    def run(frame: Frame) -> object:
        try:
            value = body(frame)
        except _ChainEnd:
            return None
        return None if is_nil(value) else value

    return run


def _slice(node: nodes.Slice) -> Code:
    base, at = emit(node.base), node.at
    start = emit(node.start) if node.start is not None else None
    stop = emit(node.stop) if node.stop is not None else None

    def run(frame: Frame) -> object:
        value = base(frame)
        last = stop(frame) if stop is not None else None
        first = start(frame) if start is not None else None
        try:
            return slice_of(value, first, last)
        except Fault as fault:
            raise _placed(fault, at) from None

    return run


def _call(node: nodes.Call) -> Code:
    arguments = [emit(argument) for argument in node.arguments]
    if isinstance(node.callee, nodes.Name) and node.callee.name in COMPUTED:
        return _computed(COMPUTED[node.callee.name], arguments, node.at)
    callee, at = emit(node.callee), node.at

    def run(frame: Frame) -> object:
        values = [argument(frame) for argument in arguments]
        function = callee(frame)
        if function is None:
            raise Fault("invalid operation: cannot call nil", at)
        if not callable(function):
            raise Fault(f"invalid operation: cannot call non-function of type {type_name(function)}", at)
        try:
            return function(values)
        except Fault as fault:
            raise _placed(fault, at) from None

    return run


def _builtin(node: nodes.Builtin) -> Code:
    if node.name not in BUILTINS:
        return emit_predicate_call(node, [emit(argument) for argument in node.arguments])
    return _computed(BUILTINS[node.name].compute, [emit(argument) for argument in node.arguments], node.at)


def _computed(compute: Compute, arguments: list[Code], at: int) -> Code:
    def run(frame: Frame) -> object:
        values = [argument(frame) for argument in arguments]
        try:
            return compute(values, frame.budget)
        except Fault as fault:
            raise _placed(fault, at) from None

    return run


def _pointer(node: nodes.Pointer) -> Code:
    if node.name == "index":
        return lambda frame: frame.index
    if node.name == "acc":
        return lambda frame: frame.acc
    return lambda frame: frame.item


def _let(node: nodes.Let) -> Code:
    name, value, body = node.name, emit(node.value), emit(node.body)

    def run(frame: Frame) -> object:
        frame.variables[name] = value(frame)
        result = body(frame)
        del frame.variables[name]
        return result

    return run


def _sequence(node: nodes.Sequence) -> Code:
    *early, last = [emit(item) for item in node.items]

    def run(frame: Frame) -> object:
        for item in early:
            item(frame)
        return last(frame)

    return run


def _conditional(node: nodes.Conditional) -> Code:
    test, then, otherwise, at = emit(node.test), emit(node.then), emit(node.otherwise), node.at

    def run(frame: Frame) -> object:
        try:
            chosen = then if as_bool(test(frame)) else otherwise
        except Fault as fault:
            raise _placed(fault, at) from None
        return chosen(frame)

    return run


def _array(node: nodes.ArrayLiteral) -> Code:
    items, at = [emit(item) for item in node.items], node.at

    def run(frame: Frame) -> object:
        values = [item(frame) for item in items]
        _spend(frame, len(values), at)
        return values

    return run


def _map(node: nodes.MapLiteral) -> Code:
    pairs, at = [(emit(key), emit(value)) for key, value in node.pairs], node.at

    def run(frame: Frame) -> object:
        values = [(key(frame), value(frame)) for key, value in pairs]
        _spend(frame, len(values), at)
        try:
            # The original fills the map from the end, so of two equal keys the first one stays.
            return {as_text(key): value for key, value in reversed(values)}
        except Fault as fault:
            raise _placed(fault, at) from None

    return run


def _spend(frame: Frame, amount: int, at: int) -> None:
    try:
        frame.budget.spend(amount)
    except Fault as fault:
        raise _placed(fault, at) from None


def _placed(fault: Fault, at: int) -> Fault:
    return fault if fault.at is not None else Fault(fault.message, at)


_EMITTERS: dict[type[nodes.Node], Callable[..., Code]] = {
    nodes.Constant: _constant,
    nodes.Name: _name,
    nodes.Unary: lambda node: emit_unary(node, emit(node.operand)),
    nodes.Binary: lambda node: emit_binary(node, emit(node.left), emit(node.right)),
    nodes.Member: _member,
    nodes.Chain: _chain,
    nodes.Slice: _slice,
    nodes.Call: _call,
    nodes.Builtin: _builtin,
    nodes.Predicate: lambda node: emit(node.body),
    nodes.Pointer: _pointer,
    nodes.Let: _let,
    nodes.Sequence: _sequence,
    nodes.Conditional: _conditional,
    nodes.ArrayLiteral: _array,
    nodes.MapLiteral: _map,
}
