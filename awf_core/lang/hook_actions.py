"""Hooks of a workflow and of its states, read into actions.

Called by the loader. It compiles the templates and runs nothing. A list entry that names both takes its `log`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from awf_core.lang.model import HookAction, WorkflowHooks
from awf_core.lang.templates import compile_template

if TYPE_CHECKING:
    from awf_core.lang.fields import Fields

_ACTION = "repository.yamlHookAction"


def read_workflow_hooks(fields: Fields) -> WorkflowHooks:
    """The four hooks of a workflow, empty where not written."""
    hooks = fields.nested("hooks", "repository.yamlWorkflowHooks")
    if hooks is None:
        return WorkflowHooks()
    return WorkflowHooks(
        start=_actions(hooks, "workflow_start"),
        end=_actions(hooks, "workflow_end"),
        error=_actions(hooks, "workflow_error"),
        cancel=_actions(hooks, "workflow_cancel"),
    )


def read_state_hooks(fields: Fields) -> tuple[tuple[HookAction, ...], tuple[HookAction, ...]]:
    """The `pre` and `post` actions of a state."""
    hooks = fields.nested("hooks", "repository.yamlStepHooks")
    return ((), ()) if hooks is None else (_actions(hooks, "pre"), _actions(hooks, "post"))


def _actions(hooks: Fields, key: str) -> tuple[HookAction, ...]:
    read = (_action(entry) for entry in hooks.each(key, _ACTION))
    return tuple(action for action in read if action is not None)


def _action(entry: Fields) -> HookAction | None:
    if text := entry.text("log"):
        return HookAction(kind="log", text=compile_template(text))
    if text := entry.text("command"):
        return HookAction(kind="command", text=compile_template(text))
    return None
