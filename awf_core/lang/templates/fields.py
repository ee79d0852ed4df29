"""Look up `.name` in a value: methods, fields of structs, keys of maps.

Called by the operand nodes for everything but plain dicts, and for dicts that lack the key. Fails through the state.
"""

from __future__ import annotations

from collections.abc import Sequence

from awf_core.lang.go.quoting import quoted
from awf_core.lang.templates.calls import Function, Operand, call_function
from awf_core.lang.templates.errors import FunctionError
from awf_core.lang.templates.state import Located, State
from awf_core.lang.templates.values import (
    INVALID,
    MISSING,
    Kind,
    Method,
    Opaque,
    Pointer,
    Struct,
    Value,
    kind_of,
    map_get,
    type_name,
)

NIL_POINTER_PANIC = "runtime error: invalid memory address or nil pointer dereference"


def find_field(
    state: State,
    dot: Value,
    receiver: Value,
    name: str,
    node: Located,
    operands: Sequence[Operand] = (),
    final: Value = MISSING,
) -> Value:
    """`receiver.name`, called with the operands and `final` if it is a method."""
    if type(receiver) is Struct and name in receiver.type.fields and not operands and final is MISSING:
        return receiver.get(name)
    if receiver is INVALID:
        state.fail(f"nil data; no entry for key {quoted(name)}")
    if receiver is None:
        state.fail(f"nil pointer evaluating interface {{}}.{name}")
    method = _method(receiver, name)
    if method is not None:
        return _call_method(state, dot, receiver, method, name, node, operands, final)
    has_arguments = bool(operands) or final is not MISSING
    target = receiver.target if isinstance(receiver, Pointer) else receiver
    if kind_of(target) == Kind.MAP:
        return _map_element(state, target, name, has_arguments=has_arguments)
    return _struct_field(state, receiver, target, name, has_arguments=has_arguments)


def _method(receiver: Value, name: str) -> Method | None:
    kind = type(receiver)
    if kind is Struct or kind is Pointer:
        return receiver.type.methods.get(name)  # type: ignore[no-any-return]
    return receiver.methods.get(name) if isinstance(receiver, Opaque) else None


def _call_method(
    state: State,
    dot: Value,
    receiver: Value,
    method: Method,
    name: str,
    node: Located,
    operands: Sequence[Operand],
    final: Value,
) -> Value:
    target = receiver.target if isinstance(receiver, Pointer) else receiver

    def bound(*values: Value) -> Value:
        if target is None:
            raise FunctionError(NIL_POINTER_PANIC)
        return method.call(target, *values)

    function = Function(call=bound, params=method.params)
    return call_function(state, dot, function, name, node, operands, final)


def _map_element(state: State, target: Value, name: str, *, has_arguments: bool) -> Value:
    if has_arguments:
        state.fail(f"{name} is not a method but has arguments")
    value = map_get(target, name)
    if value is MISSING:
        state.fail(f"map has no entry for key {quoted(name)}")
    return value


def _struct_field(state: State, receiver: Value, target: Value, name: str, *, has_arguments: bool) -> Value:
    is_known = isinstance(receiver, (Struct, Pointer)) and name in receiver.type.fields
    if isinstance(receiver, Opaque) and name in receiver.hidden_fields:
        state.fail(f"{name} is an unexported field of struct type {receiver.type_name}")
    if not is_known:
        state.fail(f"can't evaluate field {name} in type {type_name(receiver)}")
    if target is None:
        state.fail(f"nil pointer evaluating {type_name(receiver)}.{name}")
    if has_arguments:
        state.fail(f"{name} has arguments but cannot be invoked as function")
    return target.get(name)
