"""A type of step that the engine does not know of: registered, loaded, run and routed without a change to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from awf_core.engine.run.engine import Engine
from awf_core.engine.steps import builtin_step_types
from awf_core.extensions.steps import Routing, StepAborted, StepContext, StepResult
from awf_core.lang.load import parse_workflow

if TYPE_CHECKING:
    from awf_core.lang.fields import StateFields
    from awf_core.lang.model import State, Workflow
    from awf_core.lang.step_types import StepTypes


@dataclass(frozen=True)
class CountSpec:
    on_complete: str


class CountStep:
    """A type of the kind a plugin brings: it routes by a key of its own."""

    name = "count"
    aliases: tuple[str, ...] = ()
    routing = Routing(transitions_on_success=False, continue_on_error=False)

    def parse(self, fields: StateFields) -> CountSpec:
        return CountSpec(on_complete=fields.text("on_complete"))

    def successor(self, state: State) -> str | None:
        assert isinstance(state.spec, CountSpec)
        return state.spec.on_complete

    def run(self, state: State, context: StepContext) -> StepResult:
        if "abort" in context.execution.inputs:
            raise StepAborted("count: nothing to count", code="USER.INPUT.MISSING_FILE")
        if "broken" in context.execution.inputs:
            raise ZeroDivisionError("by zero")
        has_failed = "failing" in context.execution.inputs
        return StepResult(
            status="failed" if has_failed else "completed",
            output=str(len(context.execution.inputs)),
            error="no",
            failure="count a: no" if has_failed else None,
        )


def count_types() -> StepTypes:
    types = builtin_step_types()
    types.register(CountStep())
    return types


def workflow_of(types: StepTypes) -> Workflow:
    text = """
name: w
states:
  initial: a
  a: {type: count, on_complete: done, on_success: fail, continue_on_error: true, transitions: [{goto: fail}]}
  done: {type: terminal}
  fail: {type: terminal, status: failure}
"""
    return parse_workflow(text.encode(), source=Path("/p/.awf/workflows/w.yaml"), step_types=types)


def test_a_new_step_type_brings_its_own_routing(tmp_path: Path) -> None:
    types = count_types()

    run = Engine(step_types=types).execute(workflow_of(types), {"x": "1"}, cwd=tmp_path)

    assert (run.final_state, run.states["a"].output) == ("done", "1")


@pytest.mark.parametrize(
    ("given", "message", "exit_code"),
    [
        ("failing", "count a: no", 3),
        ("abort", "count: nothing to count", 1),
        ("broken", "step a: step type 'count' broke: ZeroDivisionError: by zero", 4),
    ],
)
def test_a_new_step_types_trouble_fails_this_run_only(tmp_path: Path, given: str, message: str, exit_code: int) -> None:
    types = count_types()

    run = Engine(step_types=types).execute(workflow_of(types), {given: "1"}, cwd=tmp_path)

    assert run.error is not None
    assert (run.status, run.error.message, run.exit_code) == ("failed", message, exit_code)


def test_a_workflow_of_a_type_that_is_not_installed_here_fails_with_its_name(tmp_path: Path) -> None:
    types = count_types()

    run = Engine(step_types=builtin_step_types()).execute(workflow_of(types), {}, cwd=tmp_path)

    assert run.error is not None
    assert run.error.message == "step a: no step type 'count' is installed that can run"
