"""A loop as it is written: what it goes through or waits for, its body, its bounds, and what `awf validate` reports.

Called by the loop step types. A condition that does not compile is no error here: it fails when the run reaches it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from awf_core.errors import AwfError
from awf_core.lang.expressions import Expression, compile_expression, compile_late
from awf_core.lang.fields import StateFields
from awf_core.lang.go.quoting import quoted
from awf_core.lang.go.text import trim_space
from awf_core.lang.model import State, Workflow
from awf_core.lang.problems import Problem, StepProblem
from awf_core.lang.scope import Scope
from awf_core.lang.templates import Template, compile_template
from awf_core.lang.templates.errors import FunctionError
from awf_core.lang.templates.json_text import to_json

DEFAULT_MAX_ITERATIONS = 100
MAX_ITERATIONS = 10_000
_INTEGER = re.compile(r"[+-]?[0-9]{1,30}")
_OPERATORS = frozenset("+-*/%")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopSpec:
    """What a loop does: `items` for a `for_each`, `condition` for a `while`, never both.

    `limit`: the most iterations, or the text that yields that number.
    """

    body: tuple[str, ...]
    limit: int | Template
    items: Template | None = None
    condition: Expression | None = None
    break_when: Expression | None = None
    on_complete: str | None = None

    @property
    def leads_to(self) -> tuple[str, ...]:
        """The states it runs, and the one after it."""
        return (*self.body, self.on_complete) if self.on_complete else self.body

    @property
    def duplicate(self) -> str | None:
        """What is wrong with a body that names a state twice, None when it does not."""
        seen: dict[str, int] = {}
        for index, name in enumerate(self.body):
            if name in seen:
                return f"duplicate step '{name}' in loop body at indices {seen[name]} and {index}"
            seen[name] = index
        return None

    def problems(self, state: State, workflow: Workflow) -> Iterator[Problem]:
        """What `awf validate` reports about it."""
        place = f"states.{state.name}"
        if self.duplicate is not None:
            yield Problem(message=f"{place}.body: {self.duplicate}", line=state.line)
        if self.condition is not None and (why := _compile_problem(self.condition)) is not None:
            yield Problem(message=f"{place}.while: {why}", line=state.line)
        if self.break_when is not None and (why := _compile_problem(self.break_when)) is not None:
            yield Problem(message=f"{place}.break_when: {why}", line=state.line, severity="warning")
        if self.on_complete is None and state.on_failure is None:
            text = f"{place}: has no on_complete, so the run fails after the loop unless its body leads out of it"
            yield Problem(message=text, line=state.line, severity="warning")
        yield from _lost_jumps(self.body, workflow)


def read_loop(fields: StateFields, *, kind: str) -> LoopSpec:
    """The loop of a state of type `kind`: `for_each` or `while`. Raises StepProblem."""
    items, condition = _items_text(fields.raw("items")), fields.text("while")
    body, break_when = fields.list_of_text("body"), fields.text("break_when")
    if fields.raw("items") is None and not condition:
        raise StepProblem(f"loop config is required for {kind} steps")
    if kind == "for_each" and not items:
        raise StepProblem("items is required for for_each steps", key="items")
    if kind == "while" and not condition:
        raise StepProblem("condition is required for while steps", key="while")
    if not body:
        raise StepProblem("body is required for loop steps", key="body")
    if fields.raw("items") is not None and not items:
        raise StepProblem("loop config: items is required for for_each loops", key="items")
    return LoopSpec(
        body=body,
        limit=read_limit(fields),
        items=compile_template(items) if kind == "for_each" else None,
        condition=compile_late(condition) if kind == "while" else None,
        break_when=compile_late(break_when) if break_when else None,
        on_complete=fields.text("on_complete") or None,
    )


def _items_text(written: Any) -> str:
    """A text unchanged, a list as JSON; anything else counts as no items."""
    if isinstance(written, str):
        return written
    if not isinstance(written, list):
        return ""
    try:
        return to_json(written)
    except FunctionError:
        return ""


def _compile_problem(expression: Expression) -> str | None:
    try:
        compile_expression(expression.text)
    except AwfError as problem:
        return problem.message
    return None


def _lost_jumps(body: tuple[str, ...], workflow: Workflow) -> Iterator[Problem]:
    states = [workflow.states[name] for name in body if name in workflow.states]
    for state in states:
        for goto in (transition.goto for transition in state.transitions):
            if goto not in workflow.states:
                text = f"states.{state.name}.transitions: no state '{goto}', so the loop goes on instead"
                yield Problem(message=text, line=state.line, severity="warning")


class LimitProblem(Exception):
    """A `max_iterations` that gives no usable number; the text says why, in the words of the workflow language."""


def read_limit(fields: StateFields) -> int | Template:
    """The number written, or the text that will give one. Raises StepProblem for a number out of range.

    Absent, 0, an empty text and anything else count as the default.
    """
    written: Any = fields.raw("max_iterations")
    if isinstance(written, str) and written:
        return compile_template(written)
    if not isinstance(written, int) or isinstance(written, bool) or written == 0:
        return DEFAULT_MAX_ITERATIONS
    if written < 0:
        raise StepProblem("loop config: max_iterations must be non-negative", key="max_iterations")
    if written > MAX_ITERATIONS:
        raise StepProblem(
            "loop config: max_iterations exceeds maximum allowed limit",
            key="max_iterations",
            hint=f"The limit is {MAX_ITERATIONS}.",
        )
    return written


def resolve_limit(limit: int | Template, scope: Scope) -> int:
    """The number of iterations, 1 to MAX_ITERATIONS. Raises LimitProblem."""
    if isinstance(limit, int):
        return limit
    try:
        text = trim_space(limit.render(scope))
    except AwfError as problem:
        raise LimitProblem(f"resolve max_iterations expression: {problem.message}") from problem
    value = _integer(text)
    if value < 1:
        raise LimitProblem(f"max_iterations value {value} must be at least 1")
    if value > MAX_ITERATIONS:
        raise LimitProblem(f"max_iterations value {value} exceeds maximum allowed limit of {MAX_ITERATIONS}")
    return value


def _integer(text: str) -> int:
    if _INTEGER.fullmatch(text) and abs(value := int(text)) < 1 << 63:
        return value
    if not _OPERATORS & set(text):
        raise LimitProblem(f"max_iterations value {quoted(text)} is invalid: must be an integer")
    try:
        return compile_expression(text, mode="int").evaluate_int(Scope())
    except AwfError as problem:
        raise LimitProblem(
            f"max_iterations expression {quoted(text)} evaluation failed: {problem.message}"
        ) from problem
