"""The loop steps `for_each` and `while`: an iteration for each item, or as long as a condition holds.

Registered by `builtin_step_types`. A loop ends when its items are used up, its condition fails, `break_when` holds, a
state of its body leads out of it, one fails, or the limit is reached. `loop_body` runs one iteration.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from awf_core.engine.steps.loop_body import run_round
from awf_core.engine.steps.loop_spec import LimitProblem, LoopSpec, read_loop, resolve_limit
from awf_core.engine.steps.nested_state import Breakdown, failed, stopped
from awf_core.errors import AwfError
from awf_core.extensions.steps import Routing, StepContext, StepResult, StepType
from awf_core.lang.fields import StateFields
from awf_core.lang.go.text import trim_space
from awf_core.lang.model import State
from awf_core.lang.scope import Scope
from awf_core.lang.shell_text import render_traced
from awf_core.lang.untrusted import FROM_MESSAGE

_LIMIT_REACHED = "loop reached maximum iterations"


class _LoopStep(StepType):
    routing = Routing(transitions_on_success=False, continue_on_error=False)

    def parse(self, fields: StateFields) -> LoopSpec:
        """Read the loop. Raises StepProblem without a `body`, and without what the loop goes through or waits for."""
        return read_loop(fields, kind=self.name)

    def successor(self, state: State) -> str | None:
        """`on_complete`."""
        return _spec(state).on_complete

    def run(self, state: State, context: StepContext) -> StepResult:
        """Run the loop. See `StepType.run`."""
        return _run_loop(state, _spec(state), context)


class ForEachStep(_LoopStep):
    """`type: for_each`: the body once for each of a list of items."""

    name = "for_each"


class WhileStep(_LoopStep):
    """`type: while`: the body as long as a condition holds."""

    name = "while"


def _spec(state: State) -> LoopSpec:
    assert isinstance(state.spec, LoopSpec)
    return state.spec


class LoopFailed(Exception):
    """Ends the loop as a failure of its state. `failure`: the run's error when nothing handles it, None = the same."""

    def __init__(self, breakdown: Breakdown, *, failure: str | None = None) -> None:
        super().__init__(breakdown.message)
        self.breakdown = breakdown
        self.failure = failure


@dataclass(slots=True, kw_only=True)
class Rounds:
    """How far a loop has come."""

    count: int = 0
    goto: str | None = None
    has_broken: bool = False
    has_failed: bool = False
    is_nested: bool = False


def _run_loop(state: State, spec: LoopSpec, context: StepContext) -> StepResult:
    if spec.duplicate is not None:
        why = Breakdown(message=f"invalid loop body: {spec.duplicate}")
        return failed(why, failure=why.message)
    try:
        rounds = _for_each(state, spec, context) if spec.condition is None else _while(state, spec, context)
    except LoopFailed as failure:
        return failed(failure.breakdown, failure=failure.failure or _unhandled_text(state, failure.breakdown, context))
    return StepResult(status="completed", output=f"completed {rounds.count} iterations", goto=rounds.goto)


def _unhandled_text(state: State, why: Breakdown, context: StepContext) -> str:
    is_stopped = why.cause and context.outer.stop_reason() is not None
    return f"loop step {state.name}: {why.message}" if is_stopped else why.message


def _for_each(state: State, spec: LoopSpec, context: StepContext) -> Rounds:
    assert spec.items is not None
    try:
        text, is_from_message = render_traced(spec.items, context.scope)
    except AwfError as problem:
        raise LoopFailed(Breakdown(message=f"resolve items: {problem.message}")) from problem
    items = _parse_items(text)[: _limit(spec, context)]
    rounds = Rounds()
    for index, item in enumerate(items):
        loop = _loop(index, context, item=item, length=len(items))
        loop[FROM_MESSAGE] = is_from_message
        if not _goes_on(state, spec, rounds, loop, context):
            break
    return rounds


def _while(state: State, spec: LoopSpec, context: StepContext) -> Rounds:
    assert spec.condition is not None
    limit = _limit(spec, context)
    rounds = Rounds()
    for index in range(limit):
        loop = _loop(index, context)
        _check_allowed(context)
        try:
            if not spec.condition.evaluate_bool(_scope(loop, context)):
                break
        except AwfError as problem:
            raise LoopFailed(Breakdown(message=f"evaluate condition: {problem.message}")) from problem
        if not _goes_on(state, spec, rounds, loop, context):
            break
    if rounds.count >= limit:
        context.log("warn", "while loop hit max iterations")
        _check_limit_reached(state, spec, rounds)
    return rounds


def _limit(spec: LoopSpec, context: StepContext) -> int:
    try:
        return resolve_limit(spec.limit, context.scope)
    except LimitProblem as problem:
        raise LoopFailed(Breakdown(message=f"resolve max_iterations: {problem}")) from problem


def _loop(index: int, context: StepContext, *, item: Any = None, length: int = -1) -> dict[str, Any]:
    return {
        "Item": item,
        "Index": index,
        "Index1": index + 1,
        "First": index == 0,
        "Last": index == length - 1,
        "Length": length,
        "Parent": context.scope.loop,
    }


def _goes_on(state: State, spec: LoopSpec, rounds: Rounds, loop: dict[str, Any], context: StepContext) -> bool:
    """Run one round; False when it was the last one. Raises LoopFailed."""
    _check_allowed(context)
    done = run_round(state, spec.body, loop, context)
    rounds.count += 1
    rounds.has_failed = rounds.has_failed or done.has_failed
    rounds.is_nested = rounds.is_nested or done.is_nested
    if done.goto is not None:
        rounds.goto = done.goto
        return False
    if done.breakdown is not None and done.breakdown.cause == "cancelled":
        raise LoopFailed(done.breakdown)
    if _breaks(spec, loop, context):
        rounds.has_broken = True
        return False
    if done.breakdown is not None:
        raise LoopFailed(done.breakdown)
    return True


def _check_allowed(context: StepContext) -> None:
    if (stop_reason := context.deadline.stop_reason()) is not None:
        raise LoopFailed(stopped(f"loop cancelled: {stop_reason}", stop_reason))


def _breaks(spec: LoopSpec, loop: dict[str, Any], context: StepContext) -> bool:
    if spec.break_when is None:
        return False
    try:
        return spec.break_when.evaluate_bool(_scope(loop, context))
    except AwfError as problem:
        context.log("warn", f"break condition evaluation failed | {problem.message}")
        return False


def _scope(loop: dict[str, Any], context: StepContext) -> Scope:
    return context.execution.scope(context.execution.current, loop=loop)


def _check_limit_reached(state: State, spec: LoopSpec, rounds: Rounds) -> None:
    """A `while` that goes nowhere afterwards and reached its limit in a suspect way has failed.

    Only where the limit is a plain number, as in the original; a loop with `on_complete` goes there even when its
    last round led elsewhere.
    """
    if not isinstance(spec.limit, int) or rounds.has_broken or not (rounds.has_failed or rounds.is_nested):
        return
    if spec.on_complete is not None:
        rounds.goto = None
        return
    why = f"{_LIMIT_REACHED} with {'step failures' if rounds.has_failed else 'nested complexity'}"
    raise LoopFailed(Breakdown(message=why), failure=f"while loop {state.name}: {why}")


def _parse_items(text: str) -> list[Any]:
    """The elements of a JSON array (none for `null`), else the parts between commas, trimmed."""
    try:
        found = json.loads(text, parse_int=_number, parse_float=_number, parse_constant=_reject)
    except (ValueError, RecursionError):
        found = ""
    if found is None:
        return []
    if isinstance(found, list):
        return found
    return [trim_space(part) for part in text.split(",")]


def _number(written: str) -> float:
    number = float(written)
    if math.isinf(number):
        raise ValueError(written)
    return number


def _reject(written: str) -> float:
    raise ValueError(written)
