"""What a step type is: how its YAML is read, how it runs, and which keys route the run afterwards.

A plugin adds one by `register(step_type)` in its hook `awf_register_step_types`. The built-in ones are in
`awf_core.engine.steps`; the engine names none of them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from awf_core.extensions.deadline import Deadline
from awf_core.extensions.environment import Environment
from awf_core.extensions.outward import Log, OnOutput
from awf_core.extensions.results import Cause, Outcome, Run, StateRecord
from awf_core.lang.model import State, Workflow
from awf_core.lang.scope import Scope
from awf_core.lang.step_types import StepParser, StepTypes


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """Which keys of a state are read once it has ended."""

    transitions_on_success: bool = True
    transitions_on_failure: bool = False
    continue_on_error: bool = True


@runtime_checkable
class StepType(StepParser, Protocol):
    """A parser that can also run what it has parsed.

    One object serves all runs and threads: keep no state of a run in it.
    """

    routing: Routing = Routing()

    def run(self, state: State, context: StepContext) -> StepResult:
        """Run `state` and say how it went; a failing step is a result.

        Raises StepAborted for what ends the run at once, past `on_failure` and `transitions`; any other exception
        counts as a bug and ends the run too. Must return soon after `context.deadline` is over, with the matching
        `cause`.
        """

    def successor(self, state: State) -> str | None:
        """Where a success of `state` leads when no transition does."""
        return state.on_success

    # A type may also have
    #   admit(state, context)           raises StepAborted for what keeps the step from even being started
    #   apply_template(spec, filled)    the spec with what a step template sets; without it `use_template` is ignored
    #   runs_in_loops = False           when states of the type can't be in a loop's body
    #   unavailable(spec)               why a state of it can't run in this installation, empty = nothing is missing


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult(Outcome):
    """How a step went, and what follows from it.

    cause           set when it was stopped: a step that timed out unhandled, or was cancelled, cancels the run
    failure         the run's error when nothing handles the failure; None = `step <name>: <error>`
    code            the structured code of the run's error then
    is_structural   the failure lies in how workflows call each other (see StepAborted)
    goto            where a success leads, instead of the step type's own successor; None = to that successor
    """

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


class RunView(Protocol):
    """What a step may read of the run it belongs to. Thread-safe: branches of a parallel step share it."""

    run_id: str
    workflow: Workflow
    cwd: Path
    environment: Environment
    inputs: Mapping[str, Any]
    records: dict[str, StateRecord]
    current: str

    @property
    def env(self) -> Mapping[str, str]:
        """The environment as templates see it."""

    @property
    def hook_env(self) -> Mapping[bytes, bytes]:
        """The environment of programs: the process's, and what the run adds."""

    @property
    def step_env(self) -> Mapping[bytes, bytes]:
        """The environment of commands: `hook_env`, and each input that is text under its own name."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """The values to mask in captured output."""

    @property
    def call_stack(self) -> tuple[str, ...]:
        """Names of the workflows above this run, outermost first."""

    def scope(
        self, state: str, *, loop: Mapping[str, Any] | None = None, error: Mapping[str, Any] | None = None
    ) -> Scope:
        """What a template in `state` sees now."""

    def record(self, name: str, record: StateRecord) -> None:
        """Replace the record of state `name`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A state that has run: its result, and what its routing reads."""

    result: StepResult
    step_type: StepType
    scope: Scope


class StateRunner(Protocol):
    """Runs another state of the same workflow inside this one."""

    def __call__(
        self, state: State, *, outer: Deadline, loop: Mapping[str, Any] | None, run_as: StepType | None = None
    ) -> Visit:
        """Run it. Raises StepAborted.

        outer    its deadline besides its own time limit
        loop     what its templates see as `.loop`
        run_as   runs it in place of its own step type, None = its own
        """


class WorkflowRunner(Protocol):
    """Runs another workflow as a run of its own."""

    def __call__(
        self,
        workflow: Workflow,
        inputs: Mapping[str, str],
        *,
        deadline: Deadline,
        from_message: frozenset[str] | None = None,
    ) -> Run:
        """Run it to its end, or until the deadline is over. What the workflow does is never an exception.

        from_message   the names of inputs that hold something of the message of this run, None = all of them
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class StepContext:
    """What a step may use while it runs.

    execution       the run it belongs to
    scope           what its templates see
    deadline        its time limit and the run's cancel
    log             a line for the run's log: ("info" | "warn", text)
    rng             the run's dice, for waits that spread
    on_output       gets output as it comes; None = the caller does not watch

    For steps that run states or workflows of their own:

    outer           the deadline without the step's own time limit
    step_types      every step type
    run_state       runs another state of the same workflow
    find_workflow   the workflow of that name; raises WorkflowNotFound, InvalidWorkflowName, LoadError, SystemFailure
    run_workflow    runs another workflow
    """

    execution: RunView
    scope: Scope
    deadline: Deadline
    log: Log
    rng: random.Random
    outer: Deadline
    step_types: StepTypes
    run_state: StateRunner
    find_workflow: Callable[[str], Workflow]
    run_workflow: WorkflowRunner
    on_output: OnOutput | None = None
