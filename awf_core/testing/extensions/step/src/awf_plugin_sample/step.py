"""The step type. One object serves all runs and threads: keep no data of a run in it."""

from __future__ import annotations

from dataclasses import dataclass

from awf_core.errors import AwfError
from awf_core.extensions.steps import Routing, StepAborted, StepContext, StepResult
from awf_core.lang.fields import StateFields
from awf_core.lang.model import State
from awf_core.lang.problems import StepProblem
from awf_core.lang.templates import Template, compile_template

POLL_EVERY_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitSpec:
    """What `parse` read of one state. `awf validate` and `awf run --dry-run` read its fields."""

    path: Template


class WaitForFile:
    """`type: sample.wait` with `config: {path: …}`. Its output is the path."""

    name = "sample.wait"
    aliases = ()
    routing = Routing()

    def parse(self, fields: StateFields) -> WaitSpec:
        """Called once for each state, when a workflow is loaded: reject here what can't work."""
        config = fields.nested("config")
        path = "" if config is None else config.text("path")
        if not path:
            raise StepProblem("config needs a `path`", key="config")
        return WaitSpec(path=compile_template(path))

    def successor(self, state: State) -> str | None:
        """Where a success leads when no transition does."""
        return state.on_success

    def run(self, state: State, context: StepContext) -> StepResult:
        """Called at every visit. `context.deadline` is the time limit of the state and the end of the run in one."""
        try:
            path = context.execution.cwd / state.spec.path.render(context.scope)
        except AwfError as problem:
            raise StepAborted(f"step {state.name}: {problem.message}") from problem
        while not path.exists():
            stopped = context.deadline.sleep(POLL_EVERY_S)
            if stopped is not None:
                cause = "cancelled" if context.deadline.cancel.requested else "timeout"
                return StepResult(status="failed", error=f"{path.name}: {stopped}", cause=cause)
        return StepResult(status="completed", output=str(path))
