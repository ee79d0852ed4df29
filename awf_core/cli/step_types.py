"""The step types, operations and agent providers of the core and of the installed plugins."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING

from awf_core.config.backend_names import has_third_party_plugins
from awf_core.engine.steps import builtin_step_types

if TYPE_CHECKING:
    from awf_core.extensions.agents import UserInput
    from awf_core.lang.step_types import StepTypes
    from awf_core.plugin.manager import Registrations


def step_types_here(
    env: Mapping[str, str], *, notify_backend: str | None = None, user_input: UserInput | None = None
) -> StepTypes:
    """A registry of every step type. Imports no plugin code where no plugin is installed. Raises ConfigError.

    `notify_backend` is the project's `notify.default_backend`. `user_input` answers conversations with agents.
    """

    @functools.cache
    def registered() -> Registrations:
        from awf_core.plugin.manager import build_plugins

        return build_plugins(None, None, env=env).registered

    is_alone = not has_third_party_plugins()
    step_types = builtin_step_types(
        operations=(lambda: registered().operations()) if is_alone else registered().operations(),
        agent_providers=(lambda: registered().agent_providers()) if is_alone else registered().agent_providers(),
        notify_backend=notify_backend,
        user_input=user_input,
    )
    for step_type in () if is_alone else registered().step_types():
        step_types.register(step_type)
    return step_types
