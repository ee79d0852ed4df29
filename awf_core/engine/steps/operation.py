"""The operation step: a named operation with inputs, run in this process.

Registered by `builtin_step_types`. Nothing is tried again. An unknown name, or an input that can't be filled in, ends
the run; any other failure is a result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from awf_core.config.did_you_mean import did_you_mean
from awf_core.engine.steps.outward import Registered, checked, compile_value, outward_context, render_value
from awf_core.errors import AwfError
from awf_core.extensions.operations import Operation, OperationFailed, OperationResult
from awf_core.extensions.steps import StepAborted, StepContext, StepResult, StepType
from awf_core.lang.fields import StateFields
from awf_core.lang.go.quoting import quoted
from awf_core.lang.go.text import printed
from awf_core.lang.model import State
from awf_core.lang.problems import StepProblem

_UNNAMED_FAILURE = "operation failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationSpec:
    """The name of the operation. `inputs` are compiled values."""

    operation: str
    inputs: Mapping[str, Any]


class OperationStep(StepType):
    """`type: operation`. `settings` are the project's for operations (see `OutwardContext`).

    Raises ConfigError for a registered object that is no operation.
    """

    name = "operation"
    runs_in_loops = False

    def __init__(self, registered: Registered, *, settings: Mapping[str, str]) -> None:
        self._registered = registered
        self._settings = settings
        self._operations: Mapping[str, Operation] | None = None
        if not callable(registered):
            self._all()  # an error of a plugin has to show at start

    def parse(self, fields: StateFields) -> OperationSpec:
        """Read `operation` and its inputs. Raises StepProblem without the first."""
        operation = fields.text("operation")
        if not operation:
            raise StepProblem("operation is required for operation-type steps")
        key = "operation_inputs" if fields.raw("operation_inputs") is not None else "inputs"
        inputs = {name: compile_value(value) for name, value in fields.mapping(key).items()}
        return OperationSpec(operation=operation, inputs=inputs)

    def unavailable(self, spec: OperationSpec) -> str:
        """Why a state can't run in this installation, empty = nothing is missing."""
        known = self._all()
        if spec.operation in known:
            return ""
        return f"operation {quoted(spec.operation)} not found.{did_you_mean(spec.operation, known)}"

    def run(self, state: State, context: StepContext) -> StepResult:
        """Run the operation that `state` names. See `StepType.run`."""
        spec = state.spec
        assert isinstance(spec, OperationSpec)
        operation = self._all().get(spec.operation)
        if operation is None:
            raise StepAborted(f"step {state.name}: operation {quoted(spec.operation)} not found")
        inputs = _inputs(state.name, spec, context)
        try:
            outcome = operation.run(inputs, outward_context(state.name, context, self._settings))
        except OperationFailed as problem:
            context.log("warn", f"operation failed | {problem.text}")
            return _stopped(_failed(problem.text, problem.outputs), context)
        if outcome.error:
            context.log("warn", f"operation returned failure | {outcome.error}")
            return _stopped(_failed(outcome.error, outcome.outputs), context)
        return _completed(outcome)

    def _all(self) -> Mapping[str, Operation]:
        # Two threads may both load them the first time; either result will do.
        if self._operations is None:
            self._operations = checked(
                self._registered, what="operation", protocol=Operation, method="run(inputs, context)"
            )
        return self._operations


def _inputs(step: str, spec: OperationSpec, context: StepContext) -> dict[str, Any]:
    inputs = {}
    for name, value in spec.inputs.items():
        try:
            inputs[name] = render_value(value, context.scope)
        except AwfError as problem:
            raise StepAborted(f"step {step}: resolve inputs: input {quoted(name)}: {problem.message}") from problem
    return inputs


def _completed(outcome: OperationResult) -> StepResult:
    outputs = dict(outcome.outputs)
    return StepResult(status="completed", output=_lines(outputs), response=outputs)


def _failed(error: str, outputs: Mapping[str, Any] | None) -> StepResult:
    response = None if outputs is None else dict(outputs)
    return StepResult(
        status="failed", output=_lines(response or {}), error=error or _UNNAMED_FAILURE, response=response
    )


def _stopped(result: StepResult, context: StepContext) -> StepResult:
    # A step's own time limit is an ordinary failure here, as in the original; only the run's cancel is not.
    return replace(result, cause="cancelled") if context.deadline.cancel.requested else result


def _lines(outputs: Mapping[str, Any]) -> str:
    return "\n".join(f"{name}={printed(outputs[name])}" for name in sorted(outputs))
