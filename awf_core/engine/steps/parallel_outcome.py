"""What branches came to, and what that makes of the parallel step. Called by the parallel step. Pure.

The strategies of the language: `all_succeed`, `any_succeed`, `best_effort`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from awf_core.engine.allowance import CANCELLED_TEXT
from awf_core.engine.record import StateRecord
from awf_core.engine.steps.inside import Breakdown, stopped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awf_core.engine.steps.inside import Inner

Strategy = Literal["all_succeed", "any_succeed", "best_effort"]
STRATEGIES: tuple[Strategy, ...] = ("all_succeed", "any_succeed", "best_effort")


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchOutcome:
    """How a branch ended. `breakdown`: it failed and nothing handles that; its own record is in `record` then too.

    A branch that failed and has somewhere to go is a failure as well, one that keeps its record.
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

    One that broke down keeps nothing but its error, except under `any_succeed`.
    """
    record, breakdown = outcome.record, outcome.breakdown
    if breakdown is None:
        return record if outcome.has_succeeded else replace(record, status="failed")
    if strategy == "any_succeed":
        return replace(record, status="failed", error=breakdown.message)
    return replace(record, status="failed", output="", stderr="", exit_code=0, error=breakdown.message)


def verdict(strategy: Strategy, outcomes: Sequence[BranchOutcome], *, stop_text: str | None) -> Breakdown | None:
    """Why the step failed, None when it succeeded.

    `outcomes` in the order they came; `stop_text` says why branches that never began did not.
    """
    first = next((outcome for outcome in outcomes if not outcome.has_succeeded), None)
    match strategy:
        case "best_effort":
            return _cancelled(outcomes, stop_text)
        case "any_succeed":
            if any(outcome.has_succeeded for outcome in outcomes):
                return None
            return Breakdown(message="all branches failed") if first is None else _first_error(first)
        case "all_succeed":
            if first is None:
                return None if stop_text is None else stopped(f"parallel execution: {stop_text}", stop_text)
            error = first.breakdown or Breakdown(
                message=f"branch {first.name} failed with exit code {first.record.exit_code}"
            )
            return replace(error, message=f"parallel execution: {error.message}")


def _cancelled(outcomes: Sequence[BranchOutcome], stop_text: str | None) -> Breakdown | None:
    """Best effort forgives everything but a stop button: a run that was told to end must not look finished."""
    for outcome in outcomes:
        if outcome.breakdown is not None and outcome.breakdown.cause == "cancelled":
            return replace(outcome.breakdown, message=f"parallel execution: {outcome.breakdown.message}")
    return stopped(f"parallel execution: {stop_text}", stop_text) if stop_text == CANCELLED_TEXT else None


def _first_error(outcome: BranchOutcome) -> Breakdown:
    return outcome.breakdown or Breakdown(message=outcome.record.error or "all branches failed")
