"""How a run ends: after a state, at a terminal, by a deadline or a cancel; its exit code and its result.

Called by the engine. It runs nothing, and changes nothing of a run but where it stands.

The exit code is derived from the text of the error, standard error of a failed step included, because the workflow
language promises that; structured codes come first. Nothing else may depend on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from awf_core.engine.run.execution import Execution
from awf_core.engine.run.routing import Goto, Unhandled, Unroutable, route
from awf_core.errors import AwfError
from awf_core.extensions.deadline import DEADLINE_TEXT
from awf_core.extensions.results import Run, RunError, RunStatus
from awf_core.extensions.steps import StepAborted, Visit
from awf_core.lang.model import OutputDefinition, State, TerminalSpec

TIMEOUT_REASON = "timeout"
_BY_CATEGORY = {"USER": 1, "WORKFLOW": 2, "EXECUTION": 3, "SYSTEM": 4}
_BY_TEXT = (("not found", 1), ("invalid", 2), ("timeout", 3), ("exit code", 3), ("permission", 4))
EXECUTION = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a run ended.

    is_quiet        the `workflow_error` hooks do not run
    is_structural   see RunError
    """

    status: RunStatus
    message: str = ""
    code: str | None = None
    cancel_reason: str | None = None
    is_quiet: bool = False
    is_structural: bool = False

    @property
    def exit_code(self) -> int:
        """What `awf run` exits with."""
        match self.status:
            case "completed":
                return 0
            case "cancelled":
                return EXECUTION
            case "failed":
                return exit_class(self.message, self.code)


def after(state: State, visit: Visit, execution: Execution) -> Goto | Ending:
    """What follows `state`, which `visit` ran."""
    result = visit.result
    message = result.failure or f"step {state.name}: {result.error}"
    if result.cause == "cancelled":
        return cancelled(execution, message)
    if result.cause == "timeout" and (stop_reason := execution.deadline.stop_reason()) is not None:
        return stopped(execution, stop_reason, message=message)
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
    """The end of a run that has reached the terminal `state`, where it stands from now on."""
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


def stopped(execution: Execution, stop_reason: str, *, message: str = "") -> Ending:
    """The end of a run whose deadline is over; `stop_reason` is that of the deadline."""
    if stop_reason == DEADLINE_TEXT:
        return Ending(status="cancelled", message=message or stop_reason, cancel_reason=TIMEOUT_REASON)
    return cancelled(execution, message or stop_reason)


def cancelled(execution: Execution, message: str) -> Ending:
    """The end of a run that was cancelled."""
    return Ending(status="cancelled", message=message, cancel_reason=execution.cancel.reason)


def make_run(execution: Execution, ending: Ending) -> Run:
    """The result of `execution`, which is over."""
    error = None
    if ending.status != "completed":
        error = RunError(
            message=ending.message,
            code=ending.code,
            state=execution.current or None,
            is_structural=ending.is_structural,
        )
    return Run(
        run_id=execution.run_id,
        workflow=execution.workflow.name,
        status=ending.status,
        exit_code=ending.exit_code,
        context_exit_code=execution.context_exit_code,
        final_state=execution.current,
        path=tuple(execution.path),
        states=execution.records,
        inputs=execution.inputs,
        outputs={wanted.name: _output(wanted, execution) for wanted in execution.workflow.outputs},
        output=execution.last_output,
        error=error,
        cancel_reason=ending.cancel_reason,
        parent_run_id=None if execution.caller is None else execution.caller.run_id,
        started_at=execution.started_at,
        finished_at=execution.clock.now(),
        duration_ms=round(execution.elapsed_s() * 1000),
    )


def _output(wanted: OutputDefinition, execution: Execution) -> Any:
    states = {name: record.as_scope() for name, record in execution.records.items()}
    value: Any = {"states": states, "inputs": execution.inputs}
    for key in wanted.source:
        if not isinstance(value, dict) or key not in value:
            return None
        value = value[key]
    return value


def exit_class(message: str, code: str | None = None) -> int:
    """1 user, 2 workflow, 3 execution, 4 system.

    `code` is a structured code such as `USER.INPUT.MISSING_FILE`.
    """
    if code is not None and (category := code.partition(".")[0]) in _BY_CATEGORY:
        return _BY_CATEGORY[category]
    return next((number for text, number in _BY_TEXT if text in message), EXECUTION)


def error_type(message: str) -> str:
    """What `error.Type` says in `workflow_error` hooks: workflow, user, system or execution."""
    text = message.lower()
    if "terminal failure" in text or "step not found" in text:
        return "workflow"
    if any(word in text for word in ("not found", "missing", "invalid input", "validation")):
        return "user"
    if any(word in text for word in ("permission", "access denied", "i/o")):
        return "system"
    return "execution"
