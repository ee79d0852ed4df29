"""The step types, operations and agent providers of the core and of the installed plugins."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from awf_core.engine.steps import builtin_step_types

if TYPE_CHECKING:
    from collections.abc import Mapping

    from awf_core.engine.agents.user_input import UserInput
    from awf_core.lang.step_types import StepTypes


def step_types_here(
    env: Mapping[str, str], *, notify_backend: str | None = None, user_input: UserInput | None = None
) -> StepTypes:
    """A registry of every step type. Imports no plugin code where no plugin is installed. Raises ConfigError.

    `notify_backend` is the project's `notify.default_backend`. `user_input` answers conversations with agents.
    """
    if not entry_points(group="awf.plugins"):
        return builtin_step_types(notify_backend=notify_backend, user_input=user_input)
    from awf_core.plugin.manager import build_plugins

    added = build_plugins(None, None, env=env).registered
    step_types = builtin_step_types(
        operations=added.operations(),
        agent_providers=added.agent_providers(),
        notify_backend=notify_backend,
        user_input=user_input,
    )
    for step_type in added.step_types():
        step_types.register(step_type)
    return step_types
