"""The call step: another workflow run to its end, as a run of its own.

Registered by `builtin_step_types`. The calling run sees how the child ended, and nothing else of it; data is passed by
inputs and files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from awf_core.engine.run.run_end import TIMEOUT_REASON
from awf_core.errors import AwfError, WorkflowNotFound
from awf_core.extensions.results import Cause, Run
from awf_core.extensions.steps import StepAborted, StepContext, StepResult, StepType
from awf_core.lang.fields import StateFields
from awf_core.lang.go.quoting import quoted
from awf_core.lang.go.text import printed
from awf_core.lang.model import State, Workflow
from awf_core.lang.problems import LoadError, Problem, StepProblem
from awf_core.lang.shell_text import render_traced
from awf_core.lang.templates import Template, compile_template
from awf_core.lang.untrusted import MESSAGE_FAULTS

DEFAULT_TIMEOUT_S = 300
MAX_DEPTH = 10
"""How many workflows may call each other in a chain."""

NOT_FOUND = "USER.INPUT.MISSING_FILE"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSpec:
    """The workflow by name, and its inputs. The step has an output if the child has a state named in `outputs`."""

    workflow: str
    inputs: dict[str, Template]
    outputs: tuple[str, ...] = ()

    def problems(self, state: State, workflow: Workflow) -> Iterator[Problem]:
        """What `awf validate` reports about it."""
        place = f"states.{state.name}"
        if self.workflow == workflow.name:
            yield Problem(message=f"{place}.workflow: calls the workflow it is in, which fails", line=state.line)
        if self.outputs:
            text = f"{place}.outputs: nothing of the called workflow becomes visible here; pass data by files"
            yield Problem(message=text, line=state.line, severity="warning")


class CallStep(StepType):
    """`type: call_workflow`."""

    name = "call_workflow"

    def parse(self, fields: StateFields) -> CallSpec:
        """Read `workflow`, `inputs` and `outputs`. Raises StepProblem without the first."""
        workflow = fields.text("workflow")
        if not workflow:
            raise StepProblem("call_workflow config is required for call_workflow steps", key="workflow")
        inputs = fields.mapping("inputs").items()
        return CallSpec(
            workflow=workflow,
            inputs={name: compile_template(printed(value)) for name, value in inputs},
            outputs=tuple(fields.text_mapping("outputs")),
        )

    def admit(self, state: State, context: StepContext) -> None:
        """Reject a call in a circle or too deep, or of a workflow that can't be loaded. Raises StepAborted."""
        spec, stack = _spec(state), context.execution.call_stack
        if len(stack) >= MAX_DEPTH:
            text = f"maximum sub-workflow nesting depth exceeded (depth: {len(stack)}, max: {MAX_DEPTH})"
            raise StepAborted(f"step {state.name}: {text}", is_structural=True)
        if spec.workflow in stack:
            text = f"workflow {quoted(spec.workflow)} is already in call stack [{' '.join(stack)}]"
            raise StepAborted(f"step {state.name}: circular workflow call detected: {text}", is_structural=True)
        _child(state, context)

    def run(self, state: State, context: StepContext) -> StepResult:
        """Run the child. See `StepType.run`; a child that calls in a circle ends this run too."""
        spec = _spec(state)
        rendered = {name: _rendered(state, name, template, context) for name, template in spec.inputs.items()}
        inputs = {name: text for name, (text, _) in rendered.items()}
        from_message = frozenset(name for name, (_, is_from_message) in rendered.items() if is_from_message)
        deadline = context.deadline
        if not state.timeout_s:
            deadline = deadline.no_later_than(deadline.clock.monotonic() + DEFAULT_TIMEOUT_S)
        run = context.run_workflow(_child(state, context), inputs, deadline=deadline, from_message=from_message)
        return _succeeded(spec, run) if run.error is None else _failed(state, spec, run, context)


def _spec(state: State) -> CallSpec:
    assert isinstance(state.spec, CallSpec)
    return state.spec


def _child(state: State, context: StepContext) -> Workflow:
    name = _spec(state).workflow
    try:
        return context.find_workflow(name)
    except AwfError as problem:
        why = problem.text if isinstance(problem, LoadError) else problem.message
        raise StepAborted(
            f"step {state.name}: load sub-workflow {quoted(name)}: load workflow {name}: {why}",
            code=NOT_FOUND if isinstance(problem, WorkflowNotFound) else problem.code,
        ) from problem


def _rendered(state: State, name: str, template: Template, context: StepContext) -> tuple[str, bool]:
    try:
        return render_traced(template, context.scope)
    except AwfError as problem:
        raise StepAborted(f"step {state.name}: resolve input {quoted(name)}: {problem.message}") from problem


def _succeeded(spec: CallSpec, run: Run) -> StepResult:
    is_named = any(name in run.states for name in spec.outputs)
    return StepResult(
        status="completed", output=f"sub-workflow {spec.workflow} completed successfully" if is_named else ""
    )


def _failed(state: State, spec: CallSpec, run: Run, context: StepContext) -> StepResult:
    assert run.error is not None
    message = run.error.message
    cause = _cause(run, context)
    is_stopped = cause and context.outer.stop_reason() is not None
    result = StepResult(
        status="failed",
        error=message,
        failure=f"step {state.name}: {'' if is_stopped else f'sub-workflow {spec.workflow} failed: '}{message}",
        cause=cause,
        code=run.error.code,
        is_structural=run.error.is_structural,
    )
    if run.error.is_structural or run.error.code in MESSAGE_FAULTS:
        is_structural = run.error.is_structural
        raise StepAborted(message, code=run.error.code, is_structural=is_structural, result=result)
    return result


def _cause(run: Run, context: StepContext) -> Cause:
    if run.status != "cancelled":
        return ""
    return "timeout" if run.cancel_reason == TIMEOUT_REASON and not context.deadline.cancel.requested else "cancelled"
