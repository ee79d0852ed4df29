"""Where a run is resumed, and what of its first attempt still counts. Called by `awf resume`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from awf_core.engine.records.state_file import RunState
from awf_core.engine.run.execution import Resumption
from awf_core.errors import ExecutionError, InputError
from awf_core.extensions.results import StateRecord

CURRENT = "current"
PREVIOUS = "previous"
NOT_VALID = "USER.INPUT.VALIDATION_FAILED"


def resumption(saved: RunState, *, origin: str, overrides: Mapping[str, Any]) -> Resumption:
    """How the run `saved` is resumed.

    origin      `current`: where it stopped; `previous`: the state that ended last before that; else a state's name
    overrides   inputs that replace its own; nothing checks them again

    Raises ExecutionError for a run that completed, InputError where there is no such state.
    """
    if saved.status == "completed":
        raise ExecutionError(
            f"workflow execution {saved.run_id} is completed, there is nothing to resume",
            hint=f"Run it again with `awf run {saved.workflow}`.",
        )
    state = _origin(saved, origin)
    return Resumption(
        state=state,
        records=dict(saved.states) if state == saved.current else _up_to(state, saved.states),
        inputs={**saved.inputs, **overrides},
        started_at=saved.started_at,
    )


def _origin(saved: RunState, origin: str) -> str:
    if origin == CURRENT:
        return saved.current
    if origin == PREVIOUS:
        return _previous(saved)
    if origin != saved.current and origin not in saved.states:
        known = ", ".join(saved.states) or "none"
        raise InputError(
            f"step {origin!r} not found in the recorded states of run {saved.run_id}",
            hint=f"It has: {known}.",
            code=NOT_VALID,
        )
    return origin


def _previous(saved: RunState) -> str:
    others = [(record.finished_at, name) for name, record in saved.states.items() if name != saved.current]
    if not others:
        raise InputError(
            f"no prior step before {saved.current!r} is recorded for run {saved.run_id}",
            hint="Resume with --from current.",
            code=NOT_VALID,
        )
    return max(others)[1]


def _up_to(state: str, records: Mapping[str, StateRecord]) -> dict[str, StateRecord]:
    """What had ended when `state` had; the rest is what came after it."""
    end = records[state].finished_at
    return {name: record for name, record in records.items() if record.finished_at <= end}
