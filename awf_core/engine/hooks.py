"""Run the actions of a hook: write a text to the log, or run a command in the shell.

Called by the runner at the turning points of a run and around each step. Never raises for what an action
does: a failed action is logged, and only who asked for it decides whether that ends anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from awf_core.engine.process import run_process
from awf_core.errors import AwfError

if TYPE_CHECKING:
    from awf_core.engine.allowance import Allowance
    from awf_core.engine.execution import Execution
    from awf_core.lang.model import HookAction
    from awf_core.lang.scope import Scope

Level = Literal["info", "warn"]
Log = Callable[[Level, str], None]


class HookFailed(Exception):
    """An action that did not work; the text says why, in the words of the workflow language."""


def run_hook(
    actions: Sequence[HookAction],
    *,
    name: str,
    execution: Execution,
    scope: Scope,
    allowance: Allowance,
    log: Log,
) -> None:
    """Run `actions` one after the other. A failing one is logged as a warning, and the next one runs.

    `name` says in the log which hook it was. Stops when `allowance` is over.
    """
    for action in actions:
        if (stopped := allowance.stop_text()) is not None:
            log("warn", f"{name} failed | hook cancelled: {stopped}")
            return
        try:
            _run_action(action, execution, scope, allowance, log)
        except HookFailed as problem:
            log("warn", f"hook action failed | {problem}")


def run_strict_hook(
    actions: Sequence[HookAction], *, execution: Execution, scope: Scope, allowance: Allowance, log: Log
) -> None:
    """Run `actions` until one fails. Raises HookFailed with its text."""
    for action in actions:
        if (stopped := allowance.stop_text()) is not None:
            raise HookFailed(f"hook cancelled: {stopped}")
        _run_action(action, execution, scope, allowance, log)


def _run_action(action: HookAction, execution: Execution, scope: Scope, allowance: Allowance, log: Log) -> None:
    if action.kind == "log":
        log("info", _rendered(action, scope, "log message"))
    else:
        _run_command(_rendered(action, scope, "command"), execution, allowance)


def _rendered(action: HookAction, scope: Scope, what: str) -> str:
    try:
        return action.text.render(scope)
    except AwfError as problem:
        raise HookFailed(f"interpolate {what}: {problem.message}") from problem


def _run_command(command: str, execution: Execution, allowance: Allowance) -> None:
    finished = run_process(
        [execution.surroundings.shell, "-c", command],
        env=execution.hook_env,
        cwd=str(execution.cwd),
        timeout_s=allowance.left_s(),
        cancel=allowance.cancel,
    )
    if finished.failure is not None:
        raise HookFailed(f"hook {finished.failure}")
    if finished.exit_code:
        stderr = finished.stderr.decode("utf-8", "surrogateescape")
        raise HookFailed(f"hook command exited with code {finished.exit_code}: {stderr}")
