"""What passes between the runner and a step type: what the step may use, and what it says afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from awf_core.engine.allowance import Allowance
    from awf_core.engine.execution import Execution
    from awf_core.engine.hooks import Log
    from awf_core.engine.record import StepStatus, Tokens
    from awf_core.workflow.scope import Scope

Cause = Literal["", "timeout", "cancelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepContext:
    """What a step may use while it runs.

    execution   the run it belongs to: inputs, environment, directories, secrets
    scope       what its templates see
    allowance   its time limit and the run's cancel
    log         a line for the run's log, (level, text)
    on_output   gets ("stdout" | "stderr", bytes) as they come; None = nobody is watching
    """

    execution: Execution
    scope: Scope
    allowance: Allowance
    log: Log
    rng: random.Random
    on_output: Callable[[str, bytes], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """How a step went; the fields are those of a StateRecord.

    cause     set when it was stopped: a step that timed out unhandled, or was cancelled, cancels the run
    failure   what the run's error says when nothing handles the failure; None = `step <name>: <error>`
    """

    status: StepStatus
    output: str = ""
    stderr: str = ""
    exit_code: int = 0
    attempt: int = 1
    error: str = ""
    response: Any = None
    json: Any = None
    tokens: Tokens | None = None
    cause: Cause = ""
    failure: str | None = None


class StepAborted(Exception):
    """Ends the run at once: no record, no routing.

    The text becomes the run's error; `code` is a structured code.
    """

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
