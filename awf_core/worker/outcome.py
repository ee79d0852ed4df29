"""What is told of a message's end: the outcome of a run, or of a message that never ran. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from awf_core.extensions.results import json_value
from awf_core.ids import new_id
from awf_core.result import Outcome, ResultError, cut, cut_value
from awf_core.units import format_duration

if TYPE_CHECKING:
    from awf_core.contract import Delivery
    from awf_core.extensions.results import Run
    from awf_core.message import Malformed, Message
    from awf_core.worker.plan import Rejection

MAX_RUN = "max_run"
"""The reason a run is cancelled for when it takes too long."""


def blamed_on_max_run(run: Run, max_run_s: float | None) -> Run:
    """`run` with the limit named in its error, where that is what ended it: a step only knows that it was cancelled."""
    if run.cancel_reason != MAX_RUN or run.error is None or max_run_s is None:
        return run
    text = f"cancelled after max_run ({format_duration(max_run_s)}): {run.error.message}"
    return replace(run, error=replace(run.error, message=text))


def of_run(
    run: Run, delivery: Delivery, message: Message, *, worker: str, max_output_bytes: int, dead_lettered: bool
) -> Outcome:
    """The outcome of a workflow that was started, its texts cut to `max_output_bytes` each."""
    error = run.error
    return Outcome(
        id=new_id(),
        message_id=message.id,
        workflow=message.workflow,
        status=run.status,
        exit_code=run.exit_code,
        output=cut(json_value(run.output), max_output_bytes),
        outputs={name: _shown(value, max_output_bytes) for name, value in run.outputs.items()},
        error=None
        if error is None
        else ResultError(code=error.code, message=cut(json_value(error.message), max_output_bytes), state=error.state),
        attempt=delivery.attempt,
        dead_lettered=dead_lettered,
        run_id=run.run_id,
        started_at=run.started_at,
        finished_at=run.finished_at,
        worker=worker,
        metadata=message.metadata,
    )


def _shown(value: object, max_output_bytes: int) -> object:
    try:
        return cut_value(json_value(value), max_output_bytes)
    except RecursionError:
        # The run is over, and must not be repeated because of what cannot be shown of it.
        return "[cut by awf: nested too deep]"


def of_rejection(
    why: Rejection,
    delivery: Delivery,
    message: Message | Malformed,
    *,
    worker: str,
    max_output_bytes: int,
    dead_lettered: bool,
    now: float,
) -> Outcome:
    """The outcome of a message that nothing was run for."""
    return Outcome(
        id=new_id(),
        message_id=message.id,
        workflow=message.workflow,
        status="rejected",
        exit_code=why.exit_code,
        error=ResultError(code=why.code, message=cut(why.error, max_output_bytes)),
        attempt=delivery.attempt,
        dead_lettered=dead_lettered,
        started_at=now,
        finished_at=now,
        worker=worker,
        metadata=message.metadata,
    )
