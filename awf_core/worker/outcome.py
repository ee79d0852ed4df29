"""The answer to a message: the outcome of its run or rejection, and whether a reply may carry it. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from awf_core.contract import Formatted, Outgoing
from awf_core.extensions.results import Run, json_value
from awf_core.ids import new_id
from awf_core.result import Outcome, ResultError, cut, cut_value
from awf_core.units import format_duration

if TYPE_CHECKING:
    from awf_core.contract import Delivery
    from awf_core.message import Malformed, Message
    from awf_core.worker.plan import Rejection

MAX_RUN = "max_run"
"""The reason a run is cancelled for when it takes too long."""

LEASE_LOST = "lease_lost"
"""The reason a run is cancelled for, or its message dropped, when its lease was lost."""

MAX_REPLY_TO_CHARS = 255
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+=@~-]*")


def blamed_on_max_run(run: Run, max_run_s: float | None) -> Run:
    """`run` with the limit named in its error, where the limit ended it: a step only knows that it was cancelled."""
    if run.cancel_reason != MAX_RUN or run.error is None or max_run_s is None:
        return run
    text = f"cancelled after max_run ({format_duration(max_run_s)}): {run.error.message}"
    return replace(run, error=replace(run.error, message=text))


def make_outcome(
    ended: Run | Rejection,
    delivery: Delivery,
    message: Message | Malformed,
    *,
    worker: str,
    max_output_bytes: int,
    dead_lettered: bool,
    now: float,
) -> Outcome:
    """The outcome of a run, or of a message that nothing was run for. Texts are cut to `max_output_bytes` each."""
    run = ended if isinstance(ended, Run) else None
    return Outcome(
        id=new_id(),
        message_id=message.id,
        workflow=message.workflow,
        status="rejected" if run is None else run.status,
        exit_code=ended.exit_code,
        output="" if run is None else cut(json_value(run.output), max_output_bytes),
        outputs={} if run is None else {name: _shown(value, max_output_bytes) for name, value in run.outputs.items()},
        error=_error(ended, max_output_bytes),
        attempt=delivery.attempt,
        dead_lettered=dead_lettered,
        run_id=None if run is None else run.run_id,
        started_at=now if run is None else run.started_at,
        finished_at=now if run is None else run.finished_at,
        worker=worker,
        metadata=message.metadata,
    )


def _error(ended: Run | Rejection, max_output_bytes: int) -> ResultError | None:
    if not isinstance(ended, Run):
        return ResultError(code=ended.code, message=cut(ended.error, max_output_bytes))
    error = ended.error
    if error is None:
        return None
    return ResultError(code=error.code, message=cut(json_value(error.message), max_output_bytes), state=error.state)


def _shown(value: object, max_output_bytes: int) -> object:
    try:
        return cut_value(json_value(value), max_output_bytes)
    except RecursionError:
        # The run is over, and must not be repeated because of what cannot be shown of it.
        return "[cut by awf: nested too deep]"


def make_reply(reply_to: str, outcome: Outcome, formatted: Formatted, correlation_id: str) -> Outgoing:
    """The result, addressed as the message asks. Whether it may go there, `reply_fault` says."""
    return Outgoing(
        queue=reply_to,
        body=formatted.body,
        id=outcome.id,
        correlation_id=correlation_id,
        headers=formatted.headers,
        content_type=formatted.content_type,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyRules:
    """`allow` are globs of which one must match; `reserved` are the queues this worker itself consumes or fills."""

    allow: tuple[str, ...] = ("*",)
    reserved: frozenset[str] = field(default_factory=frozenset)


def reply_fault(reply_to: str, rules: ReplyRules) -> str | None:
    """Why no result may be published to `reply_to`, or None. The text repeats at most 60 characters of it.

    An untrusted producer chose `reply_to`: it must not make a worker write to a queue that workers or operators read.
    """
    shown = reply_to if len(reply_to) <= 60 else reply_to[:57] + "..."
    if len(reply_to) > MAX_REPLY_TO_CHARS:
        return f"reply_to {shown!r} is longer than {MAX_REPLY_TO_CHARS} characters"
    if not _SAFE.fullmatch(reply_to):
        return (
            f"reply_to {shown!r} holds characters a queue name must not (allowed: letters, digits, . _ : / + = @ ~ -)"
        )
    if reply_to in rules.reserved:
        return f"reply_to {shown!r} is a queue this worker consumes, or keeps dead or undeliverable messages in"
    if not any(fnmatchcase(reply_to, pattern) for pattern in rules.allow):
        return f"reply_to {shown!r} matches none of mq.reply.allow ({', '.join(rules.allow)})"
    return None
