"""What passes between the runner and a step type: what the step may use, and what it says afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from awf_core.engine.agents.conversation import Conversation
    from awf_core.engine.allowance import Allowance
    from awf_core.engine.children import ChildRuns
    from awf_core.engine.execution import Execution
    from awf_core.engine.hooks import Log
    from awf_core.engine.record import StepStatus, Tokens
    from awf_core.engine.visit import Visitor
    from awf_core.lang.scope import Scope

Cause = Literal["", "timeout", "cancelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepContext:
    """What a step may use while it runs.

    execution   the run it belongs to: inputs, environment, directories, secrets
    scope       what its templates see
    allowance   its time limit and the run's cancel
    log         a line for the run's log, (level, text)
    outer       what it got from outside: the same without the step's own time limit
    visitor     runs other states of the same workflow, for `run_inside`
    nesting     the states this one runs inside of, outermost first, and itself
    children    runs other workflows
    on_output   gets ("stdout" | "stderr", bytes) as they come; None = nobody is watching
    """

    execution: Execution
    scope: Scope
    allowance: Allowance
    log: Log
    rng: random.Random
    outer: Allowance
    visitor: Visitor
    nesting: tuple[str, ...]
    children: ChildRuns
    on_output: Callable[[str, bytes], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """How a step went; the fields are those of a StateRecord.

    cause           set when it was stopped: a step that timed out unhandled, or was cancelled, cancels the run
    failure         what the run's error says when nothing handles the failure; None = `step <name>: <error>`
    code            the structured code of the run's error then
    is_structural   the failure lies in how workflows call each other (see StepAborted)
    goto            where a success leads, past the step type's own successor; None = no say in it
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
    conversation: Conversation | None = None
    cause: Cause = ""
    failure: str | None = None
    code: str | None = None
    is_structural: bool = False
    goto: str | None = None


class StepAborted(Exception):
    """Ends the run at once: no routing, and no record unless `result` is given.

    The text becomes the run's error; `code` is a structured code. `is_structural`: workflows call each other in
    a circle or too deeply, which no `on_failure` of a calling workflow handles either.
    """

    def __init__(
        self, message: str, *, code: str | None = None, is_structural: bool = False, result: StepResult | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.is_structural = is_structural
        self.result = result
