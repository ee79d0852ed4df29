"""The parallel step: states run at the same time as branches of one.

Registered by `builtin_step_types`. Branches share the run; each has a loop context and a stop button of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from awf_core.engine.machine import Routing
from awf_core.engine.steps.context import StepResult
from awf_core.engine.steps.inside import failed, run_inside
from awf_core.engine.steps.parallel_branches import MAX_THREADS, Branches
from awf_core.engine.steps.parallel_outcome import (
    STRATEGIES,
    BranchOutcome,
    Strategy,
    decides,
    not_found,
    outcome_of,
    rewritten,
    verdict,
)
from awf_core.lang.go.quoting import quoted
from awf_core.lang.model import TERMINAL
from awf_core.lang.problems import Problem, StepProblem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from awf_core.engine.cancel import Cancel
    from awf_core.engine.steps.context import StepContext
    from awf_core.lang.fields import StateFields
    from awf_core.lang.model import State, Workflow


@dataclass(frozen=True, slots=True, kw_only=True)
class ParallelSpec:
    """Which states run, how their results count, and how many at a time: 0 = no limit of the workflow's own."""

    branches: tuple[str, ...]
    strategy: Strategy = "all_succeed"
    max_concurrent: int = 0

    @property
    def leads_to(self) -> tuple[str, ...]:
        """The states it runs."""
        return self.branches

    def problems(self, state: State, workflow: Workflow) -> Iterator[Problem]:
        """What `awf validate` says about it."""
        for name in self.branches:
            branch = workflow.states.get(name)
            if branch is None or branch.type == TERMINAL:
                what = "is no state of this workflow" if branch is None else "is a terminal, which can't be run"
                text = f"states.{state.name}.parallel: '{name}' {what}"
                yield Problem(message=text, line=state.line, severity="warning")


class ParallelStep:
    """`type: parallel`. A failure leads to `on_failure` alone."""

    name = "parallel"
    aliases: tuple[str, ...] = ()
    routing = Routing(continue_on_error=False)

    def parse(self, fields: StateFields) -> ParallelSpec:
        """Read `parallel`, `strategy` and `max_concurrent`. Raises StepProblem."""
        branches, written = fields.list_of_text("parallel"), fields.text("strategy")
        max_concurrent = fields.integer("max_concurrent") or 0
        if not branches:
            raise StepProblem("branches are required for parallel-type steps", key="parallel")
        strategy = next((known for known in STRATEGIES if known == (written or STRATEGIES[0])), None)
        if strategy is None:
            text = f"invalid parallel strategy {quoted(written)}: must be one of {', '.join(STRATEGIES)}"
            raise StepProblem(text, key="strategy")
        return ParallelSpec(branches=branches, strategy=strategy, max_concurrent=max(0, max_concurrent))

    def successor(self, state: State) -> str | None:
        """`on_success`."""
        return state.on_success

    def run(self, state: State, context: StepContext) -> StepResult:
        """Run the branches and rewrite their records as the strategy says. See `StepType.run`."""
        spec = state.spec
        assert isinstance(spec, ParallelSpec)
        branches = Branches[BranchOutcome](
            run=lambda name, cancel: _run_branch(name, cancel, context),
            decides=lambda outcome: decides(spec.strategy, outcome),
        )
        found = branches.run_all(
            spec.branches,
            at_once=spec.max_concurrent or MAX_THREADS,
            parent=context.allowance.cancel,
            label=f"awf-branch-{state.name}",
        )
        outcomes = [outcome for _, outcome in found]
        for outcome in outcomes:
            context.execution.record(outcome.name, rewritten(spec.strategy, outcome))
        stop_text = context.allowance.stop_text() if len(outcomes) < len(spec.branches) else None
        why = verdict(spec.strategy, outcomes, stop_text=stop_text)
        if why is None:
            return StepResult(status="completed")
        return failed(why, failure=f"parallel step {state.name}: {why.message}")


def _run_branch(name: str, cancel: Cancel, context: StepContext) -> BranchOutcome:
    clock = context.allowance.clock
    started_at = clock.now()
    state = context.execution.workflow.states.get(name)
    if state is None:
        return not_found(name, at=started_at)
    outer = context.allowance.under(cancel)
    inner = run_inside(state, context, outer=outer, loop=context.scope.loop)
    return outcome_of(name, inner, started_at=started_at, finished_at=clock.now())
