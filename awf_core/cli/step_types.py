"""The step types of a command that reads workflows, with the registered operations and agent providers."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from awf_core.config.backend_names import has_third_party_plugins
from awf_core.engine.steps import builtin_step_types

if TYPE_CHECKING:
    from collections.abc import Mapping

    from awf_core.extensions.agents import UserInput
    from awf_core.lang.step_types import StepTypes
    from awf_core.plugin.manager import Registrations


def step_types_here(
    env: Mapping[str, str], *, notify_backend: str | None = None, user_input: UserInput | None = None
) -> StepTypes:
    """A registry with every step type. Raises ConfigError.

    The plugin manager is slow to import. Where no third party's plugin is installed, only a workflow that runs an
    operation or an agent imports it.

    `notify_backend` is the project's `notify.default_backend`, `user_input` the user of conversations, None = no user.
    """

    @functools.cache
    def registered() -> Registrations:
        from awf_core.plugin.manager import build_plugins

        return build_plugins(None, None, env=env).registered

    if not has_third_party_plugins():
        return builtin_step_types(
            operations=lambda: registered().operations(),
            agent_providers=lambda: registered().agent_providers(),
            notify_backend=notify_backend,
            user_input=user_input,
        )
    step_types = builtin_step_types(
        operations=registered().operations(),
        agent_providers=registered().agent_providers(),
        notify_backend=notify_backend,
        user_input=user_input,
    )
    for step_type in registered().step_types():
        step_types.register(step_type)
    return step_types
