"""The nodes of a template that yield values: words, commands, pipelines.

Made by the parser, evaluated by the statement nodes. Immutable, shared by all renderings: what changes is in State.
Before anything that can fail a node sets `state.node`, and errors point there; the order follows text/template.
"""

# Overrides take what their base takes, and are documented there.
# ruff: noqa: ARG002, D102

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

from awf_core.lang.templates.calls import Command, Function, Operand, argument, call_function
from awf_core.lang.templates.fields import find_field
from awf_core.lang.templates.lexer import Number
from awf_core.lang.templates.state import State
from awf_core.lang.templates.values import INVALID, MISSING, MapView, Value


@dataclass(frozen=True, slots=True, eq=False)
class Constant(Operand):
    """A bool, string or number; `source` is how it was written."""

    is_constant = True
    constant: Value
    source: str

    def text(self) -> str:
        return self.source

    def value(self, state: State, dot: Value) -> Value:
        return self.constant


class LargeNumber(Constant):
    """An integer that fits no `int`: an error once it is used."""

    __slots__ = ()

    def value(self, state: State, dot: Value) -> Value:
        state.node = self
        state.fail(f"{self.source} overflows int")


def number_operand(position: int, number: Number) -> Operand:
    """The operand of a number literal."""
    kind = LargeNumber if number.overflows else Constant
    return kind(position, number.value, number.text)


class Nil(Operand):
    """The word `nil`."""

    __slots__ = ()
    is_nil = True

    def text(self) -> str:
        return "nil"

    def value(self, state: State, dot: Value) -> Value:
        state.fail("nil is not a command")


class Dot(Operand):
    """The word `.`."""

    __slots__ = ()

    def text(self) -> str:
        return "."

    def value(self, state: State, dot: Value) -> Value:
        state.node = self
        return dot


@dataclass(frozen=True, slots=True, eq=False)
class _Path(Operand):
    """A word that ends in a chain of names."""

    names: tuple[str, ...]

    @abstractmethod
    def receiver(self, state: State, dot: Value) -> Value:
        """The value the chain starts from."""

    def value(self, state: State, dot: Value) -> Value:
        state.node = self
        return self._walk(state, dot, self.receiver(state, dot), self.names)

    def run(self, state: State, dot: Value, command: Command, final: Value) -> Value:
        if not command.rest and final is MISSING:
            return self.value(state, dot)
        state.node = self
        receiver = self.receiver(state, dot)
        if not self.names:
            state.fail(f"can't give argument to non-function {self.text()}")
        receiver = self._walk(state, dot, receiver, self.names[:-1])
        return find_field(state, dot, receiver, self.names[-1], self, command.rest, final)

    def _walk(self, state: State, dot: Value, receiver: Value, names: Sequence[str]) -> Value:
        for name in names:
            if type(receiver) is dict and name in receiver:
                receiver = receiver[name]
            elif type(receiver) is MapView and (element := receiver.get(name)) is not MISSING:
                receiver = element
            else:
                receiver = find_field(state, dot, receiver, name, self)
        return receiver


class Path(_Path):
    """`.a.b`, looked up in dot."""

    __slots__ = ()

    def text(self) -> str:
        return "".join(f".{name}" for name in self.names)

    def receiver(self, state: State, dot: Value) -> Value:
        return dot


@dataclass(frozen=True, slots=True, eq=False)
class Variable(_Path):
    """`$x`, or `$x.a.b`."""

    name: str

    def text(self) -> str:
        return ".".join((self.name, *self.names))

    def receiver(self, state: State, dot: Value) -> Value:
        return state.variable(self.name)[1]


@dataclass(frozen=True, slots=True, eq=False)
class Chain(_Path):
    """`(pipeline).a.b` or `function.a.b`."""

    start: Operand

    def text(self) -> str:
        return ".".join((self.start.inner_text(), *self.names))

    def receiver(self, state: State, dot: Value) -> Value:
        return argument(state, dot, self.start, "value")


@dataclass(frozen=True, slots=True, eq=False)
class Identifier(Operand):
    """The name of a function."""

    name: str
    function: Function

    def text(self) -> str:
        return self.name

    def value(self, state: State, dot: Value) -> Value:
        state.node = self
        return call_function(state, dot, self.function, self.name, self, ())

    def run(self, state: State, dot: Value, command: Command, final: Value) -> Value:
        state.node = self
        return call_function(state, dot, self.function, self.name, command, command.rest, final)


@dataclass(frozen=True, slots=True, eq=False)
class Pipeline(Operand):
    """Commands joined by `|`, perhaps with the variables that take the result. In parentheses it is an operand."""

    has_parentheses = True
    commands: tuple[Command, ...]
    names: tuple[str, ...]
    assigns: bool = field(kw_only=True)

    def text(self) -> str:
        names = ", ".join(self.names) + (" = " if self.assigns else " := ") if self.names else ""
        return names + " | ".join(command.text() for command in self.commands)

    def value(self, state: State, dot: Value) -> Value:
        state.node = self
        value: Value = MISSING
        for command in self.commands:
            value = command.first.run(state, dot, command, value)
            if value is None:
                value = INVALID
        for name in self.names:
            if self.assigns:
                state.variable(name)[1] = value
            else:
                state.variables.append([name, value])
        return value
