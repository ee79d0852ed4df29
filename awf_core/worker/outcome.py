"""What is told of a message's end: the outcome of a run, or of a message that never ran. Pure."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from awf_core.engine.record import json_value
from awf_core.result import Outcome, ResultError, cut, cut_value

if TYPE_CHECKING:
    from awf_core.contract import Delivery
    from awf_core.engine.record import Run
    from awf_core.message import Malformed, Message
    from awf_core.worker.plan import Rejection


def of_run(
    run: Run, delivery: Delivery, message: Message, *, worker: str, max_output_bytes: int, dead_lettered: bool
) -> Outcome:
    """The outcome of a workflow that was started, its texts cut to `max_output_bytes` each."""
    error = run.error
    return Outcome(
        id=str(uuid.uuid4()),
        message_id=message.id,
        workflow=message.workflow,
        status=run.status,
        exit_code=run.exit_code,
        output=cut(json_value(run.output), max_output_bytes),
        outputs={name: cut_value(json_value(value), max_output_bytes) for name, value in run.outputs.items()},
        error=error
        and ResultError(code=error.code, message=cut(json_value(error.message), max_output_bytes), state=error.state),
        attempt=delivery.attempt,
        dead_lettered=dead_lettered,
        run_id=run.run_id,
        started_at=run.started_at,
        finished_at=run.finished_at,
        worker=worker,
        metadata=message.metadata,
    )


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
        id=str(uuid.uuid4()),
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
