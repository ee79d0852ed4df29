"""What a type of step is: how its YAML is read, how it runs, and what its routing looks at.

A plugin adds a type by registering an object of this shape; nothing in the runner names a type.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from awf_core.engine.steps.context import StepAborted, StepContext, StepResult
from awf_core.lang.step_types import StepParser, StepTypes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from awf_core.engine.agents.user_input import UserInput
    from awf_core.engine.machine import Routing
    from awf_core.lang.model import State

__all__ = ["StepAborted", "StepContext", "StepResult", "StepType", "StepTypes", "builtin_step_types"]

_NOTHING: Mapping[str, Any] = MappingProxyType({})


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

    # A type may also have
    #   admit(state, context)           raises StepAborted for what keeps the step from even being started
    #   apply_template(spec, filled)    the spec with what a step template sets; without it `use_template` is ignored
    #   runs_in_loops = False           when states of the type can't be in a loop's body


def builtin_step_types(
    *,
    operations: Mapping[str, Any] = _NOTHING,
    agent_providers: Mapping[str, Any] = _NOTHING,
    notify_backend: str | None = None,
    user_input: UserInput | None = None,
) -> StepTypes:
    """A registry with every step type of this package; plugins may add theirs to it before the first load.

    operations, agent_providers   what plugins add, by name
    notify_backend                the project's `notify.default_backend`
    user_input                    whom conversations talk with, None = nobody

    Raises ConfigError for an addition that is no operation or provider, or takes a name that is taken.
    """
    from awf_core.engine.steps.agent import AgentStep
    from awf_core.engine.steps.call import CallStep
    from awf_core.engine.steps.command import CommandStep
    from awf_core.engine.steps.loop import ForEachStep, WhileStep
    from awf_core.engine.steps.operation import OperationStep
    from awf_core.engine.steps.parallel import ParallelStep

    outward = (
        OperationStep(operations, notify_backend=notify_backend),
        AgentStep(agent_providers, user_input),
    )
    return StepTypes([CommandStep(), ParallelStep(), ForEachStep(), WhileStep(), CallStep(), *outward])
