"""The hooks of a whole run: before its first state and at its end.

Called by the runner. Only a failing `workflow_start` hook changes anything; the others are logged when they fail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from awf_core.engine.allowance import Allowance
from awf_core.engine.cancel import Cancel
from awf_core.engine.conclude import cancelled
from awf_core.engine.ending import Ending
from awf_core.engine.exit_class import error_type
from awf_core.engine.hooks import HookFailed, run_hook, run_strict_hook

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from awf_core.engine.execution import Execution
    from awf_core.engine.hooks import Log
    from awf_core.lang.model import HookAction

CANCEL_HOOK_S = 10.0
"""The longest a cancelled run's `workflow_cancel` hooks may take together: who cancels is waiting."""


def run_start_hooks(execution: Execution, log: Log) -> Ending | None:
    """Run the `workflow_start` hooks; the end of the run if one fails, None = it goes on."""
    actions = execution.workflow.hooks.start
    if not actions:
        return None
    try:
        run_strict_hook(actions, execution=execution, scope=execution.scope(""), allowance=execution.allowance, log=log)
    except HookFailed as problem:
        message = f"workflow_start hook failed: {problem}"
        if execution.cancel.requested:
            return cancelled(execution, message)
        return Ending(status="failed", message=message, is_quiet=True)
    return None


def run_end_hooks(execution: Execution, ending: Ending, log: Log) -> None:
    """Run the hooks that are for a run that ended like this."""
    hooks = execution.workflow.hooks
    match ending.status:
        case "completed":
            _run(execution, hooks.end, "workflow_end hook", log, allowance=_as_before(execution))
        case "cancelled":
            _run(execution, hooks.cancel, "workflow_cancel hook", log, allowance=_afresh(execution))
        case "failed" if not ending.is_quiet:
            error = _error_seen(execution, ending.message)
            _run(execution, hooks.error, "workflow_error hook", log, allowance=_as_before(execution), error=error)


def _as_before(execution: Execution) -> Allowance:
    return Allowance(clock=execution.clock, cancel=execution.cancel)


def _afresh(execution: Execution) -> Allowance:
    # A cancelled run's own token would stop its cancel hooks before they begin.
    deadline = execution.clock.monotonic() + CANCEL_HOOK_S
    return Allowance(clock=execution.clock, cancel=Cancel(), deadline=deadline)


def _run(
    execution: Execution,
    actions: Sequence[HookAction],
    name: str,
    log: Log,
    *,
    allowance: Allowance,
    error: Mapping[str, Any] | None = None,
) -> None:
    if not actions:
        return
    scope = execution.scope(execution.current, error=error)
    run_hook(actions, name=name, execution=execution, scope=scope, allowance=allowance, log=log)


def _error_seen(execution: Execution, message: str) -> Mapping[str, Any]:
    # The exit code is always 0 here: the language promises no more.
    return {"Message": message, "State": execution.current, "ExitCode": 0, "Type": error_type(message)}
