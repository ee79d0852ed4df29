"""Fill in the states that are made from step templates.

Called by the runner at the start of a run of such a workflow. It reads files only through `StepTemplates`.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from awf_core.lang.model import State, Workflow
    from awf_core.lang.step_templates import StepTemplates
    from awf_core.lang.step_types import StepTypes


def expand_templates(workflow: Workflow, templates: StepTemplates, *, step_types: StepTypes, cwd: Path) -> Workflow:
    """`workflow` without a template left in it; the one given stays as it is. Raises as `StepTemplates.fill`."""
    states = {name: _expanded(state, templates, step_types, cwd) for name, state in workflow.states.items()}
    return replace(workflow, states=MappingProxyType(states), uses_templates=False)


def _expanded(state: State, templates: StepTemplates, step_types: StepTypes, cwd: Path) -> State:
    if state.template is None:
        return state
    filled = templates.fill(state.template, cwd=cwd)
    apply = getattr(step_types.get(state.type), "apply_template", None)
    return replace(
        state,
        spec=state.spec if apply is None else apply(state.spec, filled),
        timeout_s=state.timeout_s or filled.timeout_s,
        retry=state.retry or filled.retry,
        template=None,
    )
