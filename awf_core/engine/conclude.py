"""What follows a state of a run: another state, or the end of the run and how it ended.

Called by the runner after each state and at a terminal. It runs nothing, and changes of a run only where it stands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from awf_core.engine.allowance import DEADLINE_TEXT
from awf_core.engine.ending import TIMEOUT_REASON, Ending
from awf_core.engine.machine import Goto, Unhandled, Unroutable
from awf_core.engine.visit import Visit, route
from awf_core.errors import AwfError

if TYPE_CHECKING:
    from awf_core.engine.execution import Execution
    from awf_core.engine.steps.context import StepAborted
    from awf_core.lang.model import State, TerminalSpec


def after(state: State, visit: Visit, execution: Execution) -> Goto | Ending:
    """What follows `state`, which `visit` ran."""
    result = visit.result
    message = result.failure or f"step {state.name}: {result.error}"
    if result.cause == "cancelled":
        return cancelled(execution, message)
    if result.cause == "timeout" and (stop_text := execution.allowance.stop_text()) is not None:
        return stopped(execution, stop_text, message=message)
    match route(state, visit):
        case Goto() as goto:
            return goto
        case Unroutable(message=why):
            return Ending(status="failed", message=why)
        case Unhandled() if result.cause == "timeout":
            return Ending(status="cancelled", message=message, cancel_reason=TIMEOUT_REASON)
        case Unhandled():
            return Ending(status="failed", message=message, code=result.code, is_structural=result.is_structural)


def arrive(execution: Execution, state: State, spec: TerminalSpec) -> Ending:
    """The end of a run that has come to the terminal `state`, where it stands from now on."""
    execution.current = state.name
    execution.path.append(state.name)
    if spec.exit_code is not None:
        execution.context_exit_code = spec.exit_code
    if spec.status == "success":
        return Ending(status="completed")
    message = f"workflow reached terminal failure state: {state.name}"
    if spec.message is not None:
        try:
            message = spec.message.render(execution.scope(state.name))
        except AwfError:
            message = spec.message.text
    return Ending(status="failed", message=message)


def aborted(execution: Execution, abort: StepAborted) -> Ending:
    """The end of a run with a state that ends it past every handler."""
    if execution.cancel.requested:
        return cancelled(execution, abort.message)
    if abort.result is not None and abort.result.cause == "timeout":
        return Ending(status="cancelled", message=abort.message, cancel_reason=TIMEOUT_REASON)
    return Ending(status="failed", message=abort.message, code=abort.code, is_structural=abort.is_structural)


def stopped(execution: Execution, stop_text: str, *, message: str = "") -> Ending:
    """The end of a run that may go on no longer; `stop_text` is that of its allowance."""
    if stop_text == DEADLINE_TEXT:
        return Ending(status="cancelled", message=message or stop_text, cancel_reason=TIMEOUT_REASON)
    return cancelled(execution, message or stop_text)


def cancelled(execution: Execution, message: str) -> Ending:
    """The end of a run that somebody cancelled."""
    return Ending(status="cancelled", message=message, cancel_reason=execution.cancel.reason)
