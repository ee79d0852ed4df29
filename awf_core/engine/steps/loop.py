"""The loop steps: `for_each` and `while`. Registered by `builtin_step_types`; what they do is in `loop_run`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from awf_core.engine.machine import Routing
from awf_core.engine.steps.loop_run import run_loop
from awf_core.engine.steps.loop_spec import LoopSpec, read_loop

if TYPE_CHECKING:
    from awf_core.engine.steps.context import StepContext, StepResult
    from awf_core.lang.fields import StateFields
    from awf_core.lang.model import State

_ROUTING = Routing(transitions_on_success=False, continue_on_error=False)


class ForEachStep:
    """`type: for_each`: the body once for each of a list of items."""

    name = "for_each"
    aliases: tuple[str, ...] = ()
    routing = _ROUTING

    def parse(self, fields: StateFields) -> LoopSpec:
        """Read the loop. Raises StepProblem without `items` or `body`."""
        return read_loop(fields, kind="for_each")

    def successor(self, state: State) -> str | None:
        """`on_complete`."""
        return _spec(state).on_complete

    def run(self, state: State, context: StepContext) -> StepResult:
        """Run the loop. See `StepType.run`."""
        return run_loop(state, _spec(state), context)


class WhileStep:
    """`type: while`: the body again and again as long as a condition holds."""

    name = "while"
    aliases: tuple[str, ...] = ()
    routing = _ROUTING

    def parse(self, fields: StateFields) -> LoopSpec:
        """Read the loop. Raises StepProblem without `while` or `body`."""
        return read_loop(fields, kind="while")

    def successor(self, state: State) -> str | None:
        """`on_complete`."""
        return _spec(state).on_complete

    def run(self, state: State, context: StepContext) -> StepResult:
        """Run the loop. See `StepType.run`."""
        return run_loop(state, _spec(state), context)


def _spec(state: State) -> LoopSpec:
    assert isinstance(state.spec, LoopSpec)
    return state.spec
