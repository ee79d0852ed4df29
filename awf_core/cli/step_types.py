"""The step types there are here: those of the core and of installed plugins."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from awf_core.engine.steps import builtin_step_types

if TYPE_CHECKING:
    from collections.abc import Mapping

    from awf_core.workflow.step_types import StepTypes


def step_types_here(env: Mapping[str, str]) -> StepTypes:
    """A registry with every step type. Imports nothing more where no plugin is installed. Raises ConfigError."""
    step_types = builtin_step_types()
    if entry_points(group="awf.plugins"):
        from awf_core.plugin.manager import build_plugins

        for step_type in build_plugins(None, None, env=env).registered.step_types():
            step_types.register(step_type)
    return step_types
