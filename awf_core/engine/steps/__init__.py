"""What a type of step is: how its YAML is read, how it runs, and what its routing looks at.

A plugin adds a type by registering an object of this shape; nothing in the runner names a type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from awf_core.engine.steps.context import StepAborted, StepContext, StepResult
from awf_core.workflow.step_types import StepParser, StepTypes

if TYPE_CHECKING:
    from awf_core.engine.machine import Routing
    from awf_core.workflow.model import State

__all__ = ["StepAborted", "StepContext", "StepResult", "StepType", "StepTypes", "builtin_step_types"]


@runtime_checkable
class StepType(StepParser, Protocol):
    """A parser that can also run what it has parsed.

    One object serves all runs: keep no state of a run in it.
    """

    routing: Routing
    """What is looked at when a state of this type has ended."""

    def run(self, state: State, context: StepContext) -> StepResult:
        """Run `state` and say how it went; a failing step is a result.

        Raises StepAborted for what ends the run at once, past `on_failure` and `transitions`. Must return
        soon after `context.allowance` is over, with the matching `cause`.
        """

    def successor(self, state: State) -> str | None:
        """Where a success of `state` leads when no transition does; usually `state.on_success`."""


def builtin_step_types() -> StepTypes:
    """A registry with every step type of this package; plugins may add theirs to it before the first load."""
    from awf_core.engine.steps.command import CommandStep

    return StepTypes([CommandStep()])
