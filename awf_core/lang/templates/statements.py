"""The nodes of a template that write: text, actions, if, with, range, template.

Made by the parser, run by `Template.render`. Immutable, shared by all renderings. A statement returns what the range
around it does next: go on, break or continue.
"""

# Overrides take what their base takes, and are documented there.
# ruff: noqa: ARG002, D102

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from awf_core.lang.go.quoting import quoted
from awf_core.lang.templates.formatting import printed, sprint
from awf_core.lang.templates.operands import Pipeline
from awf_core.lang.templates.state import MAX_DEPTH, State
from awf_core.lang.templates.values import INVALID, Kind, Pointer, Value, is_true, kind_of, length_of, map_items

GO_ON: Final = 0
BREAK: Final = 1
CONTINUE: Final = 2


class Statement(ABC):
    """A part of a body."""

    __slots__ = ()

    @abstractmethod
    def execute(self, state: State, dot: Value) -> int:
        """Write what this yields for `dot`; GO_ON, BREAK or CONTINUE."""

    def is_blank(self) -> bool:
        """Whether a template of this alone counts as empty."""
        return False


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """Statements in a row."""

    statements: tuple[Statement, ...]

    def run(self, state: State, dot: Value) -> int:
        """Write all, up to a break or continue."""
        state.spend(len(self.statements) + 1)
        for statement in self.statements:
            signal = statement.execute(state, dot)
            if signal:
                return signal
        return GO_ON

    def is_blank(self) -> bool:
        """Whether there is nothing but white space."""
        return all(statement.is_blank() for statement in self.statements)


@dataclass(frozen=True, slots=True, eq=False)
class Text(Statement):
    """Text outside actions."""

    content: str

    def execute(self, state: State, dot: Value) -> int:
        state.write(self.content)
        return GO_ON

    def is_blank(self) -> bool:
        return not self.content.strip()


@dataclass(frozen=True, slots=True, eq=False)
class Action(Statement):
    """`{{pipeline}}`: prints its value, unless it declares or assigns."""

    pipeline: Pipeline

    def execute(self, state: State, dot: Value) -> int:
        value = self.pipeline.value(state, dot)
        if not self.pipeline.names:
            start = state.size
            state.write(printed(value))
            if state.inserted is not None:
                is_at_root = dot is state.root and not state.depth
                state.inserted.append((start, state.size, self.pipeline, is_at_root))
        return GO_ON


@dataclass(frozen=True, slots=True, eq=False)
class Jump(Statement):
    """`{{break}}` or `{{continue}}`."""

    signal: int

    def execute(self, state: State, dot: Value) -> int:
        return self.signal


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Choice(Statement):
    """`if` or `with`, with all its `else if` (`else with`) branches in one node."""

    branches: tuple[tuple[Pipeline, Body], ...]
    otherwise: Body | None
    moves_dot: bool

    def execute(self, state: State, dot: Value) -> int:
        mark = len(state.variables)
        signal = self._choose(state, dot)
        del state.variables[mark:]
        return signal

    def _choose(self, state: State, dot: Value) -> int:
        for condition, body in self.branches:
            state.spend(1)
            value = condition.value(state, dot)
            if is_true(value):
                return body.run(state, value if self.moves_dot else dot)
        return GO_ON if self.otherwise is None else self.otherwise.run(state, dot)


@dataclass(frozen=True, slots=True, eq=False)
class Range(Statement):
    """`range` over a list, a map in the order of its keys, or the numbers below an integer."""

    pipeline: Pipeline
    body: Body
    otherwise: Body | None

    def execute(self, state: State, dot: Value) -> int:
        mark = len(state.variables)
        value = self.pipeline.value(state, dot)
        items = self._items(state, value.target if type(value) is Pointer else value)
        inner = len(state.variables)
        signal = GO_ON
        ran = False
        for key, item in items:
            ran = True
            self._assign(state, key, item)
            signal = self.body.run(state, item)
            del state.variables[inner:]
            if signal == BREAK:
                break
        if not ran and self.otherwise is not None:
            signal = self.otherwise.run(state, dot)
            # As in Go, a break in the else part ends this range, a continue the iteration of the one around it.
            del state.variables[mark:]
            return signal if signal == CONTINUE else GO_ON
        del state.variables[mark:]
        return GO_ON

    def _items(self, state: State, value: Value) -> Iterable[tuple[Value, Value]]:
        kind = kind_of(value)
        if kind == Kind.NIL:
            return ()
        if kind == Kind.SLICE:
            return enumerate(value)
        if kind == Kind.MAP:
            state.spend(length_of(value))  # sorting them all is work even if the first ends the loop
            return map_items(value)
        if kind not in (Kind.INT, Kind.UINT):
            state.fail(f"range can't iterate over {sprint([value])}")
        if len(self.pipeline.names) > 1:
            state.fail(f"can't use {sprint([value])} to iterate over more than one variable")
        return ((INVALID, type(value)(number)) for number in range(value))

    def _assign(self, state: State, key: Value, item: Value) -> None:
        names = self.pipeline.names
        if not names:
            return
        if self.pipeline.assigns:
            state.variable(names[-1])[1] = item
            if len(names) > 1:
                state.variable(names[0])[1] = key
            return
        state.variables[-1][1] = item
        if len(names) > 1:
            state.variables[-2][1] = key


@dataclass(frozen=True, slots=True, eq=False)
class Include(Statement):
    """`{{template "name" pipeline}}`, also what a block leaves at its place."""

    position: int
    name: str
    pipeline: Pipeline | None

    def text(self) -> str:
        """The statement as error texts show it."""
        tail = f" {self.pipeline.text()}" if self.pipeline else ""
        return f"{{{{template {quoted(self.name)}{tail}}}}}"

    def execute(self, state: State, dot: Value) -> int:
        state.node = self
        body = state.templates.get(self.name)
        if body is None:
            state.fail(f"template {quoted(self.name)} not defined")
        if state.depth == MAX_DEPTH:
            state.fail(f"exceeded maximum template depth ({MAX_DEPTH})")
        inner = INVALID if self.pipeline is None else self.pipeline.value(state, dot)
        kept = state.name, state.variables
        state.name, state.variables = self.name, [["$", inner]]
        state.depth += 1
        body.run(state, inner)
        state.depth -= 1
        state.name, state.variables = kept
        return GO_ON
