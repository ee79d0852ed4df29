"""Where a run could go: the routes of each state, those that the inputs rule out, and the states out of reach.

Called by `plan`. A condition that reads nothing but inputs, the environment and the context is decided; of every other
both answers count as possible. Pure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from awf_core.engine.plan.texts import verdict
from awf_core.extensions.steps import Routing
from awf_core.lang.control_flow import ControlFlow
from awf_core.lang.expressions import Expression
from awf_core.lang.model import INLINE_ERROR_PREFIX, State, TerminalSpec, Workflow
from awf_core.lang.scope import Scope
from awf_core.lang.step_types import StepTypes

Reason = Literal["transition", "success", "failure"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A way out of a state. `is_possible`: False when the inputs rule it out, `why` says how then."""

    goto: str
    on: Reason
    when: str = ""
    is_possible: bool = True
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A state a run may reach, in the order of the walk. `inside`: the loop or parallel state it runs in, or empty."""

    state: State
    inside: str = ""
    routes: tuple[Route, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A state that no such run reaches, and why."""

    name: str
    reason: str


class Walk:
    """The states of `workflow` that a run with the inputs in `scope` may reach."""

    def __init__(self, workflow: Workflow, step_types: StepTypes, scope: Scope) -> None:
        self._workflow = workflow
        self._step_types = step_types
        self._scope = scope
        self._stops: dict[str, Stop] = {}
        self._closed: dict[str, str] = {}
        waiting = deque([workflow.initial])
        while waiting:
            waiting.extend(self._visit(waiting.popleft(), inside="", follows=True))

    @property
    def stops(self) -> tuple[Stop, ...]:
        """The states in reach, breadth first; those that run inside another right after it."""
        return tuple(self._stops.values())

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """The states out of reach, in the order of the file."""
        flow = ControlFlow(self._workflow)
        names = (name for name in self._workflow.states if name not in self._stops)
        return tuple(
            Skipped(name=name, reason=self._reason(name, flow))
            for name in names
            if not name.startswith(INLINE_ERROR_PREFIX)
        )

    def _reason(self, name: str, flow: ControlFlow) -> str:
        if not flow.is_reachable(name):
            return "no state leads to it"
        return self._closed.get(name, "only skipped states lead to it")

    def _visit(self, name: str, *, inside: str, follows: bool) -> Iterator[str]:
        """Note the state; yield what may follow it. `follows`: whether its routes count; those of a branch don't."""
        state = self._workflow.states.get(name)
        if state is None or name in self._stops:
            return
        routes = () if isinstance(state.spec, TerminalSpec) or not follows else tuple(self._routes(state))
        self._stops[name] = Stop(state=state, inside=inside, routes=routes)
        branches, body = getattr(state.spec, "branches", ()), getattr(state.spec, "body", ())
        for inner in branches:
            yield from self._visit(inner, inside=name, follows=False)
        if body and (why := self._never_loops(state)):
            self._closed.update(dict.fromkeys(body, why))
        else:
            for inner in body:
                yield from self._visit(inner, inside=name, follows=True)
        for route in routes:
            if route.is_possible:
                yield route.goto
            elif route.why:
                self._closed.setdefault(route.goto, route.why)

    def _never_loops(self, state: State) -> str:
        condition = getattr(state.spec, "condition", None)
        if isinstance(condition, Expression) and verdict(condition, self._scope) is False:
            return f"not with these inputs: `while: {condition.text}` of '{state.name}' is false"
        return ""

    def _routes(self, state: State) -> Iterator[Route]:
        step_type: Any = self._step_types.get(state.type)
        routing: Routing = getattr(step_type, "routing", Routing())
        taken = ""
        if routing.transitions_on_success or routing.transitions_on_failure:
            for transition in state.transitions:
                route = self._transition(state, transition.goto, transition.when, taken)
                yield route
                if route.is_possible and not taken and _always(transition.when, self._scope):
                    taken = "an earlier transition holds"
        successor = step_type.successor(state) if hasattr(step_type, "successor") else state.on_success
        goes_on = state.continue_on_error and routing.continue_on_error
        if successor:
            closed = taken if routing.transitions_on_success else ""
            yield Route(goto=successor, on="success", is_possible=not closed, why=self._why(state, closed))
        if state.on_failure:
            closed = taken if routing.transitions_on_failure else ""
            closed = closed or ("`continue_on_error` goes on after a failure" if goes_on else "")
            yield Route(goto=state.on_failure, on="failure", is_possible=not closed, why=self._why(state, closed))

    def _transition(self, state: State, goto: str, when: Expression | None, taken: str) -> Route:
        text = "" if when is None else when.text
        closed = taken
        if not closed and when is not None and verdict(when, self._scope) is False:
            closed = f"`when: {when.text}` is false"
        return Route(goto=goto, on="transition", when=text, is_possible=not closed, why=self._why(state, closed))

    @staticmethod
    def _why(state: State, closed: str) -> str:
        return f"not with these inputs: {closed} in '{state.name}'" if closed else ""


def _always(when: Expression | None, scope: Scope) -> bool:
    return when is None or verdict(when, scope) is True


def routes_as_json(routes: tuple[Route, ...]) -> list[Mapping[str, Any]]:
    """The routes as `awf run --dry-run --format json` prints them."""
    return [
        {
            "on": route.on,
            **({"when": route.when} if route.when else {}),
            "goto": route.goto,
            "possible": route.is_possible,
        }
        for route in routes
    ]
