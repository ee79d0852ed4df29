"""The built-in step types. Called by the worker and by every command that reads workflows."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from awf_core.lang.step_types import StepTypes

if TYPE_CHECKING:
    from awf_core.engine.steps.outward import Registered
    from awf_core.extensions.agents import UserInput

_NOTHING: Mapping[str, Any] = MappingProxyType({})


def builtin_step_types(
    *,
    operations: Registered = _NOTHING,
    agent_providers: Registered = _NOTHING,
    notify_backend: str | None = None,
    user_input: UserInput | None = None,
) -> StepTypes:
    """A registry with every step type of this package; add those of plugins to it before the first load.

    operations, agent_providers   what plugins and this package registered, by name, or a function that returns it:
                                  a mapping is checked now, a function is called at the first state that needs it
    notify_backend                the project's `notify.default_backend`
    user_input                    the user of conversations, None = no user

    Raises ConfigError for a registered object that is no operation or provider.
    """
    from awf_core.engine.steps.agent import AgentStep
    from awf_core.engine.steps.call import CallStep
    from awf_core.engine.steps.command import CommandStep
    from awf_core.engine.steps.for_each_while import ForEachStep, WhileStep
    from awf_core.engine.steps.operation import OperationStep
    from awf_core.engine.steps.parallel import ParallelStep

    settings = {"notify.default_backend": notify_backend} if notify_backend else {}
    outward = (OperationStep(operations, settings=settings), AgentStep(agent_providers, user_input))
    return StepTypes([CommandStep(), ParallelStep(), ForEachStep(), WhileStep(), CallStep(), *outward])
