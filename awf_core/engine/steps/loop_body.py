"""One round through the body of a loop: its states in order, with the jumps their routing asks for.

Called by `loop_run` for each iteration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from awf_core.engine.steps.nested_state import Breakdown, Inner, run_inside, stopped
from awf_core.extensions.steps import StepContext
from awf_core.lang.model import State

_NESTED_TYPES = frozenset({"while", "for_each", "parallel", "call_workflow"})
"""Types whose states make a `while` that reached its limit suspect; the language names them."""


@dataclass(slots=True, kw_only=True)
class Round:
    """How a round ended.

    goto         the state outside of the loop that it led to, None = it reached the end of the body
    breakdown    why the loop fails with it, None when it does not
    has_failed   whether a state of it failed, handled or not
    is_nested    whether a state of it has states or runs of its own
    """

    goto: str | None = None
    breakdown: Breakdown | None = None
    has_failed: bool = False
    is_nested: bool = False


def run_round(loop_state: State, body: tuple[str, ...], loop: Mapping[str, Any], context: StepContext) -> Round:
    """Run the states named in `body`; `loop` is what their templates see as `.loop`."""
    done = Round()
    index = 0
    while index < len(body):
        inner = _run_state(body[index], loop, context)
        if not isinstance(inner, Inner):
            done.breakdown = inner
            return done
        done.breakdown = inner.breakdown or _escape(inner, loop_state.name)
        if done.breakdown is not None:
            return done
        done.has_failed = done.has_failed or _is_failed(inner)
        done.is_nested = done.is_nested or inner.state.type in _NESTED_TYPES
        following = _following(inner, index, body, loop_state.name, context)
        if isinstance(following, str):
            done.goto = following
            return done
        if following <= index and (stop_reason := context.deadline.stop_reason()) is not None:
            done.breakdown = stopped(f"loop cancelled: {stop_reason}", stop_reason)
            return done
        index = following
    return done


def _run_state(name: str, loop: Mapping[str, Any], context: StepContext) -> Inner | Breakdown:
    state = context.execution.workflow.states.get(name)
    if state is None:
        return Breakdown(message=f"body step not found: {name}")
    is_supported = getattr(context.step_types.get(state.type), "runs_in_loops", True)
    return run_inside(state, context, outer=context.deadline, loop=loop, is_supported=is_supported)


def _escape(inner: Inner, loop_name: str) -> Breakdown | None:
    """A failed state may lead back to its loop and nowhere else, unless it said that errors don't matter."""
    if inner.goto in ("", loop_name) or inner.state.continue_on_error or not _is_failed(inner):
        return None
    assert inner.result is not None
    error = inner.result.error
    how = f": {error}" if error else f" with exit code {inner.result.exit_code}"
    return Breakdown(message=f"step {inner.state.name} failed{how}")


def _is_failed(inner: Inner) -> bool:
    return inner.result is not None and inner.result.status == "failed"


def _following(inner: Inner, index: int, body: tuple[str, ...], loop_name: str, context: StepContext) -> int | str:
    """The index in the body that is next, or the name of the state outside that the loop is left for."""
    goto = inner.goto
    if not goto:
        return index + 1
    if goto in body:
        return body.index(goto)
    if goto == loop_name:
        return index + 1
    if goto in context.execution.workflow.states:
        return goto
    context.log("warn", "transition target not found in workflow, continuing sequential")
    return index + 1
