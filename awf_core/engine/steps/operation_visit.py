"""One visit of an operation's state: fill in its inputs, run the operation, make its outputs a result.

Called by the operation step. Nothing is tried again; an unknown name or an input that can't be filled in ends the run,
any other failure is a result.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from awf_core.engine.operations import Operation, OperationFailed, OperationResult
from awf_core.engine.outward.context import outward_context
from awf_core.engine.steps.context import StepAborted, StepContext, StepResult
from awf_core.engine.steps.values import compile_value, render_value
from awf_core.errors import AwfError
from awf_core.lang.go.quoting import quoted
from awf_core.lang.go.text import printed
from awf_core.lang.problems import StepProblem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from awf_core.lang.fields import StateFields
    from awf_core.lang.model import State

_UNNAMED_FAILURE = "operation failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationSpec:
    """What is run with what. `inputs` are compiled values."""

    operation: str
    inputs: Mapping[str, Any]


def read_operation(fields: StateFields) -> OperationSpec:
    """Read `operation` and its inputs. Raises StepProblem without the first."""
    operation = fields.text("operation")
    if not operation:
        raise StepProblem("operation is required for operation-type steps")
    key = "operation_inputs" if fields.raw("operation_inputs") is not None else "inputs"
    inputs = {name: compile_value(value) for name, value in fields.mapping(key).items()}
    return OperationSpec(operation=operation, inputs=inputs)


def run_operation(state: State, context: StepContext, operations: Mapping[str, Operation]) -> StepResult:
    """Run the operation that `state` names. See `StepType.run`."""
    spec = state.spec
    assert isinstance(spec, OperationSpec)
    operation = operations.get(spec.operation)
    if operation is None:
        raise StepAborted(f"step {state.name}: operation {quoted(spec.operation)} not found")
    inputs = _inputs(state.name, spec, context)
    try:
        outcome = operation.run(inputs, outward_context(state.name, context))
    except OperationFailed as problem:
        context.log("warn", f"operation failed | {problem.text}")
        return _stopped(_failed(problem.text, problem.outputs), context)
    if outcome.error:
        context.log("warn", f"operation returned failure | {outcome.error}")
        return _stopped(_failed(outcome.error, outcome.outputs), context)
    return _completed(outcome)


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
    return replace(result, cause="cancelled") if context.allowance.cancel.requested else result


def _lines(outputs: Mapping[str, Any]) -> str:
    return "\n".join(f"{name}={printed(outputs[name])}" for name in sorted(outputs))
