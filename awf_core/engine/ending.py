"""How a run ended, and the result that makes of it. Called by the runner. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from awf_core.engine.exit_class import EXECUTION, exit_class
from awf_core.engine.record import Run, RunError, RunStatus

if TYPE_CHECKING:
    from awf_core.engine.execution import Execution
    from awf_core.lang.model import OutputDefinition

TIMEOUT_REASON = "timeout"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a run ended.

    is_quiet        the `workflow_error` hooks are not for this one
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
