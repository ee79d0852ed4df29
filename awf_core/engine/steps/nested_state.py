"""Run a state inside another one: in the body of a loop, as a branch of a parallel step.

Called by the step types that have states of their own. It runs the state and its routing; the caller decides what
follows from that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from awf_core.engine.run.routing import Goto, Unroutable, route
from awf_core.extensions.deadline import DEADLINE_TEXT, Deadline
from awf_core.extensions.results import Cause
from awf_core.extensions.steps import StepAborted, StepContext, StepResult, StepType, Visit
from awf_core.lang.fields import StateFields
from awf_core.lang.model import State, TerminalSpec
from awf_core.lang.untrusted import MESSAGE_FAULTS

_UNSUPPORTED = "step type provider not configured"
"""Why a state can't run inside another one, in the words of the workflow language."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakdown:
    """Why the state that others run inside of fails with one of them."""

    message: str
    cause: Cause = ""
    code: str | None = None
    is_structural: bool = False


def stopped(message: str, stop_reason: str) -> Breakdown:
    """The breakdown of a state that was stopped for that `Deadline.stop_reason`."""
    return Breakdown(message=message, cause="timeout" if stop_reason == DEADLINE_TEXT else "cancelled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    """How a state ended that ran inside another one.

    result      its result, None when it left no record
    goto        where its routing leads, empty = nowhere
    breakdown   set when it failed and nothing handles that; `goto` says nothing then
    """

    state: State
    result: StepResult | None = None
    goto: str = ""
    breakdown: Breakdown | None = None


class _UnsupportedStep(StepType):
    """Runs a state whose type can't run here: the state starts, fails, and has a record, as in the original."""

    name = "unsupported"

    def parse(self, fields: StateFields) -> object:
        """Not called: no workflow can name this type."""
        raise NotImplementedError

    def run(self, state: State, context: StepContext) -> StepResult:  # noqa: ARG002
        """Fail. See `StepType.run`."""
        result = StepResult(status="failed", error=_UNSUPPORTED)
        raise StepAborted(f"step {state.name}: {_UNSUPPORTED}", result=result)


_UNSUPPORTED_STEP = _UnsupportedStep()


def run_inside(
    state: State,
    context: StepContext,
    *,
    outer: Deadline,
    loop: Mapping[str, Any] | None,
    is_supported: bool = True,
) -> Inner:
    """Run `state` inside the step that has `context`. A fault of the message is raised, nothing else the state does.

    outer          its deadline besides its own time limit
    loop           what its templates see as `.loop`
    is_supported   False: the state's type can't run there. A terminal can't anywhere.
    """
    can_run = is_supported and not isinstance(state.spec, TerminalSpec)
    try:
        visit = context.run_state(state, outer=outer, loop=loop, run_as=None if can_run else _UNSUPPORTED_STEP)
    except StepAborted as abort:
        if abort.code in MESSAGE_FAULTS:
            raise
        breakdown = Breakdown(message=abort.message, code=abort.code, is_structural=abort.is_structural)
        return Inner(state=state, result=abort.result, breakdown=breakdown)
    result = visit.result
    if result.cause and outer.stop_reason() is not None:
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
