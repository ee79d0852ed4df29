"""Where a run goes after a state. Called by the runner. Pure: values in, a decision out.

Step types differ in what they look at; each says so with a `Routing`, so that a new type needs no change
here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from awf_core.errors import AwfError

if TYPE_CHECKING:
    from awf_core.lang.model import State, Transition
    from awf_core.lang.scope import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """What a step type looks at when a state of it has ended."""

    transitions_on_success: bool = True
    transitions_on_failure: bool = False
    continue_on_error: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Goto:
    """On to `state`, which need not exist."""

    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unhandled:
    """The state failed and nothing in the workflow deals with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unroutable:
    """Where to go could not be found out; `message` says why."""

    message: str


Decision = Goto | Unhandled | Unroutable


def next_state(state: State, *, has_failed: bool, routing: Routing, on_success: str | None, scope: Scope) -> Decision:
    """What follows `state`. `on_success` is where its type goes after success, None = nowhere."""
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
