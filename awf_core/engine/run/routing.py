"""Where a run goes after a state. Called by the engine and by steps that run states of their own. Pure.

Step types differ in which keys route the run; each says so with a `Routing`, so that a new type needs no change here.
"""

from __future__ import annotations

from dataclasses import dataclass

from awf_core.errors import AwfError
from awf_core.extensions.steps import Routing, Visit
from awf_core.lang.model import State, Transition
from awf_core.lang.scope import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Goto:
    """The run goes on with `state`, which need not exist."""

    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unhandled:
    """The state failed and nothing in the workflow handles that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unroutable:
    """A transition could not be evaluated; `message` says why."""

    message: str


Decision = Goto | Unhandled | Unroutable


def route(state: State, visit: Visit) -> Decision:
    """Where the workflow goes after `state`, which `visit` ran."""
    return next_state(
        state,
        has_failed=visit.result.status == "failed",
        routing=visit.step_type.routing,
        on_success=visit.result.goto or visit.step_type.successor(state),
        scope=visit.scope,
    )


def next_state(state: State, *, has_failed: bool, routing: Routing, on_success: str | None, scope: Scope) -> Decision:
    """What follows `state`. `on_success` is where its type leads after a success, None = nowhere."""
    if routing.transitions_on_failure if has_failed else routing.transitions_on_success:
        for transition in state.transitions:
            try:
                if transition.when is None or transition.when.evaluate_bool(scope):
                    return Goto(state=transition.goto)
            except AwfError as problem:
                return Unroutable(message=_evaluation_problem(transition, problem))
    if not has_failed or (state.continue_on_error and routing.continue_on_error):
        return Goto(state=on_success or "")
    return Unhandled() if state.on_failure is None else Goto(state=state.on_failure)


def _evaluation_problem(transition: Transition, problem: AwfError) -> str:
    source = transition.when.source if transition.when is not None else ""
    return f"evaluate transitions: evaluate condition '{source}': {problem.message}"
