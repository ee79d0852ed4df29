"""Run a state inside another one: in the body of a loop, as a branch of a parallel step.

Called by the step types that have states of their own. It runs the state and asks its routing; what follows from that
is the caller's to decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from awf_core.engine.allowance import DEADLINE_TEXT
from awf_core.engine.machine import Goto, Unroutable
from awf_core.engine.steps.context import StepAborted, StepResult
from awf_core.engine.visit import Visit, route
from awf_core.lang.model import TerminalSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from awf_core.engine.allowance import Allowance
    from awf_core.engine.steps.context import Cause, StepContext
    from awf_core.lang.model import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakdown:
    """Why the state that others run inside of fails with one of them."""

    message: str
    cause: Cause = ""
    code: str | None = None
    is_structural: bool = False


def stopped(message: str, stop_text: str) -> Breakdown:
    """The breakdown of what was stopped with that `Allowance.stop_text`."""
    return Breakdown(message=message, cause="timeout" if stop_text == DEADLINE_TEXT else "cancelled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    """How a state ended that ran inside another one.

    result      what it came to, None when it left no record
    goto        where its routing leads, empty = nowhere
    breakdown   set when it failed and nothing handles that; `goto` says nothing then
    """

    state: State
    result: StepResult | None = None
    goto: str = ""
    breakdown: Breakdown | None = None


def run_inside(state: State, context: StepContext, *, outer: Allowance, loop: Mapping[str, Any] | None) -> Inner:
    """Run `state` inside the step that has `context`. Never raises for what the state does.

    outer   what it may take besides its own time limit
    loop    what its templates see as `.loop`
    """
    if isinstance(state.spec, TerminalSpec):
        return Inner(state=state, breakdown=Breakdown(message=f"step {state.name}: step type provider not configured"))
    try:
        visit = context.visitor.visit(state, context.execution, outer=outer, loop=loop, nesting=context.nesting)
    except StepAborted as abort:
        breakdown = Breakdown(message=abort.message, code=abort.code, is_structural=abort.is_structural)
        return Inner(state=state, result=abort.result, breakdown=breakdown)
    result = visit.result
    if result.cause and outer.stop_text() is not None:
        return Inner(state=state, result=result, breakdown=_unhandled(state, visit))
    match route(state, visit):
        case Goto(state=goto):
            return Inner(state=state, result=result, goto=goto)
        case Unroutable(message=message):
            return Inner(state=state, result=result, breakdown=Breakdown(message=message))
        case _:
            return Inner(state=state, result=result, breakdown=_unhandled(state, visit))


def failed(breakdown: Breakdown, *, failure: str) -> StepResult:
    """The result of a step that fails for that; `failure` is for when nothing handles it either."""
    return StepResult(
        status="failed",
        error=breakdown.message,
        failure=failure,
        cause=breakdown.cause,
        code=breakdown.code,
        is_structural=breakdown.is_structural,
    )


def _unhandled(state: State, visit: Visit) -> Breakdown:
    result = visit.result
    return Breakdown(
        message=result.failure or f"step {state.name}: {result.error}",
        cause=result.cause,
        code=result.code,
        is_structural=result.is_structural,
    )
