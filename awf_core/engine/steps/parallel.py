"""The parallel step: states run at the same time as branches of one.

Registered by `builtin_step_types`. Branches share the run; each has a loop context and a cancel token of its own. What
the outcomes of the branches make of the step depends on its strategy: `all_succeed`, `any_succeed`, `best_effort`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from awf_core.engine.run.branches import MAX_THREADS, Branches
from awf_core.engine.steps.nested_state import Breakdown, Inner, failed, run_inside, stopped
from awf_core.extensions.deadline import CANCELLED_TEXT, Cancel
from awf_core.extensions.results import StateRecord
from awf_core.extensions.steps import Routing, StepContext, StepResult, StepType
from awf_core.lang.fields import StateFields
from awf_core.lang.go.quoting import quoted
from awf_core.lang.model import TERMINAL, State, Workflow
from awf_core.lang.problems import Problem, StepProblem

Strategy = Literal["all_succeed", "any_succeed", "best_effort"]
STRATEGIES: tuple[Strategy, ...] = ("all_succeed", "any_succeed", "best_effort")


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
        """What `awf validate` reports about it."""
        for name in self.branches:
            branch = workflow.states.get(name)
            if branch is None or branch.type == TERMINAL:
                what = "is no state of this workflow" if branch is None else "is a terminal, which can't be run"
                text = f"states.{state.name}.parallel: '{name}' {what}"
                yield Problem(message=text, line=state.line, severity="warning")


class ParallelStep(StepType):
    """`type: parallel`. A failure leads to `on_failure` alone."""

    name = "parallel"
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

    def run(self, state: State, context: StepContext) -> StepResult:
        """Run the branches and rewrite their records as the strategy demands. See `StepType.run`."""
        spec = state.spec
        assert isinstance(spec, ParallelSpec)
        branches = Branches[BranchOutcome](
            run=lambda name, cancel: _run_branch(name, cancel, context),
            decides=lambda outcome: decides(spec.strategy, outcome),
        )
        found = branches.run_all(
            spec.branches,
            at_once=spec.max_concurrent or MAX_THREADS,
            parent=context.deadline.cancel,
            label=f"awf-branch-{state.name}",
        )
        outcomes = [outcome for _, outcome in found]
        for outcome in outcomes:
            context.execution.record(outcome.name, rewritten(spec.strategy, outcome))
        stop_reason = context.deadline.stop_reason() if len(outcomes) < len(spec.branches) else None
        why = verdict(spec.strategy, outcomes, stop_reason=stop_reason)
        if why is None:
            return StepResult(status="completed")
        return failed(why, failure=f"parallel step {state.name}: {why.message}")


def _run_branch(name: str, cancel: Cancel, context: StepContext) -> BranchOutcome:
    clock = context.deadline.clock
    started_at = clock.now()
    state = context.execution.workflow.states.get(name)
    if state is None:
        return not_found(name, at=started_at)
    outer = context.deadline.with_cancel(cancel)
    inner = run_inside(state, context, outer=outer, loop=context.scope.loop)
    return outcome_of(name, inner, started_at=started_at, finished_at=clock.now())


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchOutcome:
    """How a branch ended. `breakdown`: it failed and nothing handles that; its own record is in `record` then too.

    A branch that failed and whose routing leads on is a failure as well; its record stays.
    """

    name: str
    record: StateRecord
    breakdown: Breakdown | None = None

    @property
    def has_succeeded(self) -> bool:
        """Whether it counts as a success: neither its routing nor `continue_on_error` makes a failure one."""
        return self.breakdown is None and not self.record.error and self.record.exit_code == 0


def outcome_of(name: str, inner: Inner, *, started_at: float, finished_at: float) -> BranchOutcome:
    """The outcome of a branch that ran from `started_at` to `finished_at`, epoch seconds."""
    result = inner.result
    record = StateRecord(status="failed", started_at=started_at, finished_at=finished_at)
    if result is not None:
        record = replace(record, output=result.output, stderr=result.stderr, exit_code=result.exit_code)
        record = replace(record, status=result.status, error=result.error)
    return BranchOutcome(name=name, record=record, breakdown=inner.breakdown)


def not_found(name: str, *, at: float) -> BranchOutcome:
    """The outcome of a branch that is no state of the workflow."""
    record = StateRecord(status="failed", started_at=at, finished_at=at)
    return BranchOutcome(name=name, record=record, breakdown=Breakdown(message=f"step not found: {name}"))


def decides(strategy: Strategy, outcome: BranchOutcome) -> bool:
    """Whether the branches that still run are to be stopped after this one."""
    match strategy:
        case "all_succeed":
            return not outcome.has_succeeded
        case "any_succeed":
            return outcome.has_succeeded
        case "best_effort":
            return False


def rewritten(strategy: Strategy, outcome: BranchOutcome) -> StateRecord:
    """The record the branch's state has after the step: without answers and tokens, as in the original.

    The record of one that broke down holds its error alone, except under `any_succeed`.
    """
    record, breakdown = outcome.record, outcome.breakdown
    if breakdown is None:
        return record if outcome.has_succeeded else replace(record, status="failed")
    if strategy == "any_succeed":
        return replace(record, status="failed", error=breakdown.message)
    return replace(record, status="failed", output="", stderr="", exit_code=0, error=breakdown.message)


def verdict(strategy: Strategy, outcomes: Sequence[BranchOutcome], *, stop_reason: str | None) -> Breakdown | None:
    """Why the step failed, None when it succeeded.

    `outcomes` in the order they came; `stop_reason` says why branches that never began did not.
    """
    first = next((outcome for outcome in outcomes if not outcome.has_succeeded), None)
    match strategy:
        case "best_effort":
            return _cancelled(outcomes, stop_reason)
        case "any_succeed":
            if any(outcome.has_succeeded for outcome in outcomes):
                return None
            return Breakdown(message="all branches failed") if first is None else _first_error(first)
        case "all_succeed":
            if first is None:
                return None if stop_reason is None else stopped(f"parallel execution: {stop_reason}", stop_reason)
            error = first.breakdown or Breakdown(
                message=f"branch {first.name} failed with exit code {first.record.exit_code}"
            )
            return replace(error, message=f"parallel execution: {error.message}")


def _cancelled(outcomes: Sequence[BranchOutcome], stop_reason: str | None) -> Breakdown | None:
    """Best effort forgives everything but a cancel: a cancelled run must not appear finished."""
    for outcome in outcomes:
        if outcome.breakdown is not None and outcome.breakdown.cause == "cancelled":
            return replace(outcome.breakdown, message=f"parallel execution: {outcome.breakdown.message}")
    return stopped(f"parallel execution: {stop_reason}", stop_reason) if stop_reason == CANCELLED_TEXT else None


def _first_error(outcome: BranchOutcome) -> Breakdown:
    return outcome.breakdown or Breakdown(message=outcome.record.error or "all branches failed")
