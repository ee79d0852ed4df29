"""Words and commands of a template, and calls with them as arguments, checked against Go types as text/template does.

Called by the operand nodes. It knows no function by name but `and`, `or` and `call`, whose arguments are special.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final

from awf_core.lang.go.text import StringList
from awf_core.lang.templates.errors import FunctionError, check_size
from awf_core.lang.templates.state import Located, State
from awf_core.lang.templates.values import INVALID, MISSING, Kind, Value, Wanted, is_true, kind_of, type_name

CHARS_PER_STEP: Final = 256
_GO_NAMES: Final = {"string": "string", "strings": "[]string"}
_STOPS_AT: Final = {"and": False, "or": True}


@dataclass(frozen=True, slots=True, eq=False)
class Operand(ABC):
    """A word of a command."""

    is_nil: ClassVar[bool] = False
    is_constant: ClassVar[bool] = False
    has_parentheses: ClassVar[bool] = False
    position: int
    constant: Value = field(default=None, init=False)

    @abstractmethod
    def text(self) -> str:
        """The word as error texts show it."""

    def inner_text(self) -> str:
        """The word as a part of another one's text."""
        return f"({self.text()})" if self.has_parentheses else self.text()

    @abstractmethod
    def value(self, state: State, dot: Value) -> Value:
        """The word's value as an argument."""

    def run(self, state: State, dot: Value, command: Command, final: Value) -> Value:
        """The value of the command this is the first word of. Only functions and fields take arguments."""
        state.node = self
        if command.rest or final is not MISSING:
            state.fail(f"can't give argument to non-function {self.text()}")
        return self.value(state, dot)


@dataclass(frozen=True, slots=True, eq=False)
class Command:
    """Words separated by spaces: a function or field and its arguments, or one value."""

    position: int
    first: Operand
    rest: tuple[Operand, ...]

    def text(self) -> str:
        """The command as error texts show it."""
        return " ".join(word.inner_text() for word in (self.first, *self.rest))


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """Something a template can call. `rest` is the type of any further arguments, None where there can be none.

    special      the name of a builtin whose arguments are not evaluated in the ordinary way
    weigh        steps of a call beyond those that the sizes of its texts take
    needs_scope  whether the root map comes before the arguments
    """

    call: Callable[..., Value]
    params: tuple[Wanted, ...] = ()
    rest: Wanted | None = None
    special: str = ""
    weigh: Callable[[Sequence[Value]], int] | None = None
    needs_scope: bool = False


def call_function(
    state: State,
    dot: Value,
    function: Function,
    name: str,
    node: Located,
    operands: Sequence[Operand],
    final: Value = MISSING,
) -> Value:
    """What `function` returns for the operands and, last, the value `final` of the pipeline so far."""
    _check_count(state, function, name, len(operands), has_final=final is not MISSING)
    if function.special in _STOPS_AT:
        return _short_circuit(state, dot, operands, final, stops_at=_STOPS_AT[function.special])
    values = [argument(state, dot, operand, _wanted(function, at)) for at, operand in enumerate(operands)]
    if final is not MISSING:
        values.append(conform(state, final, _wanted(function, len(operands))))
    if function.special == "call":
        values.insert(0, operands[0].text() if operands else _callee(final))
    if function.needs_scope:
        values.insert(0, state.root)
    _account(state, function, values)
    try:
        result = function.call(*values)
    except FunctionError as error:
        state.node = node
        state.fail(f"error calling {name}: {error.reason}", variable=error.variable)
    if type(result) is str:
        check_size(len(result))
        state.spend(len(result) // CHARS_PER_STEP)
    return result


def _account(state: State, function: Function, values: Sequence[Value]) -> None:
    chars = sum(len(value) for value in values if type(value) is str)
    state.spend(1 + chars // CHARS_PER_STEP + (function.weigh(values) if function.weigh else 0))


def _callee(final: Value) -> str:
    return final if type(final) is str else f"<{type_name(final)} Value>"


def _check_count(state: State, function: Function, name: str, given: int, *, has_final: bool) -> None:
    total = given + has_final
    least = len(function.params)
    if function.rest is not None:
        if total < least:
            state.fail(f"wrong number of args for {name}: want at least {least} got {given}")
    elif total != least:
        state.fail(f"wrong number of args for {name}: want {least} got {total}")


def _wanted(function: Function, at: int) -> Wanted:
    return function.params[at] if at < len(function.params) else function.rest or "any"


def _short_circuit(state: State, dot: Value, operands: Sequence[Operand], final: Value, *, stops_at: bool) -> Value:
    value: Value = INVALID
    for operand in operands:
        value = argument(state, dot, operand, "value")
        if is_true(value) == stops_at:
            return value
    return value if final is MISSING else final


def argument(state: State, dot: Value, operand: Operand, wanted: Wanted) -> Value:
    """The value of an operand where the type `wanted` is needed."""
    state.node = operand
    if operand.is_nil:
        return _nil_argument(state, wanted)
    if operand.is_constant and wanted in _GO_NAMES:
        return _constant_argument(state, operand, wanted)
    return conform(state, operand.value(state, dot), wanted)


def _nil_argument(state: State, wanted: Wanted) -> Value:
    if wanted == "string":
        state.fail("cannot assign nil to string")
    if wanted == "strings":
        return StringList()
    return INVALID if wanted == "value" else None


def _constant_argument(state: State, operand: Operand, wanted: Wanted) -> Value:
    if wanted == "strings":
        state.fail(f"can't handle {operand.text()} for arg of type []string")
    constant = operand.constant
    if type(constant) is not str:
        state.fail(f"expected string; found {operand.text()}")
    return constant


def conform(state: State, value: Value, wanted: Wanted) -> Value:
    """`value`, if it can be passed where `wanted` is needed."""
    if wanted == "value":
        return value
    if wanted == "any":
        return None if value is INVALID else value
    if value is INVALID and wanted == "strings":
        return StringList()
    if value is INVALID:
        state.fail(f"invalid value; expected {_GO_NAMES[wanted]}")
    fits = kind_of(value) == Kind.STRING if wanted == "string" else isinstance(value, StringList)
    if not fits:
        found = "interface {}" if kind_of(value) == Kind.NIL else type_name(value)
        state.fail(f"wrong type for value; expected {_GO_NAMES[wanted]}; got {found}")
    return value
