"""The lifecycle hooks of a run and of its steps: write a text to the log, or run a command in the shell.

Called by the engine at the start and the end of a run, and around each step. Never raises for what an action does: a
failed action is logged. Only a failing `workflow_start` hook ends the run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from awf_core.engine.process.captured import OutputLimit
from awf_core.engine.process.run_process import run_process
from awf_core.engine.run.execution import Execution
from awf_core.engine.run.run_end import Ending, cancelled, error_type
from awf_core.errors import AwfError
from awf_core.extensions.deadline import Cancel, Deadline
from awf_core.extensions.outward import Log
from awf_core.extensions.steps import RunView, StepAborted
from awf_core.lang.model import HookAction
from awf_core.lang.scope import Scope
from awf_core.lang.shell_text import UnsafeInput, render_shell
from awf_core.lang.templates import Template
from awf_core.lang.untrusted import UNPASSABLE_INPUT

CANCEL_HOOK_S = 10.0
"""The longest a cancelled run's `workflow_cancel` hooks may take together: the canceller waits for them."""


def run_start_hooks(execution: Execution, log: Log) -> Ending | None:
    """Run the `workflow_start` hooks; the end of the run if one fails, None = it goes on."""
    actions = execution.workflow.hooks.start
    if not actions:
        return None
    try:
        run_strict_hook(actions, execution=execution, scope=execution.scope(""), deadline=execution.deadline, log=log)
    except HookFailed as problem:
        message = f"workflow_start hook failed: {problem}"
        if execution.cancel.requested:
            return cancelled(execution, message)
        return Ending(status="failed", message=message, code=problem.code, is_quiet=True)
    return None


def run_end_hooks(execution: Execution, ending: Ending, log: Log) -> None:
    """Run the hooks that are for a run that ended like this."""
    hooks = execution.workflow.hooks
    match ending.status:
        case "completed":
            _run_logged(execution, hooks.end, "workflow_end hook", log, deadline=_unlimited(execution))
        case "cancelled":
            _run_logged(execution, hooks.cancel, "workflow_cancel hook", log, deadline=_cancel_hook_deadline(execution))
        case "failed" if not ending.is_quiet:
            error = _error_seen(execution, ending.message)
            _run_logged(execution, hooks.error, "workflow_error hook", log, deadline=_unlimited(execution), error=error)


def _unlimited(execution: Execution) -> Deadline:
    return Deadline(clock=execution.clock, cancel=execution.cancel)


def _cancel_hook_deadline(execution: Execution) -> Deadline:
    # A cancelled run's own token would stop its cancel hooks before they begin.
    ends_at = execution.clock.monotonic() + CANCEL_HOOK_S
    return Deadline(clock=execution.clock, cancel=Cancel(), ends_at=ends_at)


def _run_logged(
    execution: Execution,
    actions: Sequence[HookAction],
    name: str,
    log: Log,
    *,
    deadline: Deadline,
    error: Mapping[str, Any] | None = None,
) -> None:
    if not actions:
        return
    scope = execution.scope(execution.current, error=error)
    run_hook(actions, name=name, execution=execution, scope=scope, deadline=deadline, log=log, is_last_word=True)


def _error_seen(execution: Execution, message: str) -> Mapping[str, Any]:
    # The exit code is always 0 here: the language promises no more.
    return {"Message": message, "State": execution.current, "ExitCode": 0, "Type": error_type(message)}


class HookFailed(Exception):
    """An action that failed; the text says why, in the words of the workflow language.

    `code`: that of a fault of the message, None for any other failure.
    """

    def __init__(self, text: str, *, code: str | None = None) -> None:
        super().__init__(text)
        self.code = code


def run_hook(
    actions: Sequence[HookAction],
    *,
    name: str,
    execution: RunView,
    scope: Scope,
    deadline: Deadline,
    log: Log,
    is_last_word: bool = False,
) -> None:
    """Run the `actions` of a state one after the other. A failing one is logged as a warning, and the next one runs.

    Raises StepAborted for a fault of the message, unless `is_last_word`: the run is over anyway. `name` names the hook
    in the log. Stops when `deadline` is over.
    """
    for action in actions:
        if (stop_reason := deadline.stop_reason()) is not None:
            log("warn", f"{name} failed | hook cancelled: {stop_reason}")
            return
        try:
            _run_action(action, execution, scope, deadline, log)
        except HookFailed as problem:
            log("warn", f"hook action failed | {problem}")
            if problem.code is not None and not is_last_word:
                raise StepAborted(f"{name}: {problem}", code=problem.code) from problem


def run_strict_hook(
    actions: Sequence[HookAction], *, execution: RunView, scope: Scope, deadline: Deadline, log: Log
) -> None:
    """Run `actions` until one fails. Raises HookFailed with its text."""
    for action in actions:
        if (stop_reason := deadline.stop_reason()) is not None:
            raise HookFailed(f"hook cancelled: {stop_reason}")
        _run_action(action, execution, scope, deadline, log)


def _run_action(action: HookAction, execution: RunView, scope: Scope, deadline: Deadline, log: Log) -> None:
    if action.kind == "log":
        log("info", _rendered(Template.render, action, scope, "log message"))
    else:
        command = _rendered(render_shell, action, scope, "command")
        _run_command(command, execution, deadline, is_for_message=scope.untrusted is not None)


def _rendered(render: Callable[[Template, Scope], str], action: HookAction, scope: Scope, what: str) -> str:
    try:
        return render(action.text, scope)
    except UnsafeInput as problem:
        raise HookFailed(f"interpolate {what}: {problem.message}", code=problem.code) from problem
    except AwfError as problem:
        raise HookFailed(f"interpolate {what}: {problem.message}") from problem


def _run_command(command: str, execution: RunView, deadline: Deadline, *, is_for_message: bool) -> None:
    finished = run_process(
        [execution.environment.shell, "-c", command],
        env=execution.hook_env,
        cwd=str(execution.cwd),
        timeout_s=deadline.left_s(),
        cancel=deadline.cancel,
        output_limit=OutputLimit(max_bytes=execution.environment.max_output_bytes),
    )
    if finished.failure is not None:
        code = UNPASSABLE_INPUT if finished.is_unpassable and is_for_message else None
        raise HookFailed(f"hook {finished.failure}", code=code)
    if finished.exit_code:
        stderr = finished.stderr.decode("utf-8", "surrogateescape")
        raise HookFailed(f"hook command exited with code {finished.exit_code}: {stderr}")
