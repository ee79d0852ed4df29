"""Decide how a delivery ends. Called by the pipeline only. Pure: time and chance are handed in.

A table in code: (what happened, which attempt, which policy) -> exactly one decision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from awf_core.result import first_line
from awf_core.worker.plan import EXPIRED, INTERNAL_ERROR, UNKNOWN_WORKFLOW
from awf_core.worker.retry_delay import defer_delay_s, retry_delay_s

if TYPE_CHECKING:
    from awf_core.config.model import RetrySettings
    from awf_core.contract import Delivery
    from awf_core.extensions.results import Run
    from awf_core.worker.plan import Rejection

PERMANENT_CODES = ("USER.", "WORKFLOW.")
CRASH_CAP = 5
CRASH_CAP_WHERE_RELEASES_COUNT = 20
"""Higher there: the broker does not distinguish an orderly restart of a worker from its death."""
RELEASED_FOR = frozenset({"drain", "stop"})
"""Reasons to cancel a run that concern the worker, not the message: the message is released."""

Ending = Literal["ack", "nack", "dead_letter", "discard"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """How one delivery ends: the one value behind the call of the backend, the log line and what observers get.

    ending    `ack`; `nack`: redelivered after `delay_s`; `dead_letter`; or `discard`: acked in place of
              dead-lettered, where dead-lettering is off
    counted   of a nack: whether the attempt failed. Not counted = released
    reason    one word; empty for an ack and for a failed attempt that is retried
    error     the text for a person
    """

    ending: Ending
    delay_s: float = 0.0
    counted: bool = True
    reason: str = ""
    error: str = ""

    @property
    def summary(self) -> str:
        """What the log and observers get as `reason`."""
        return self.reason or first_line(self.error)


def release(reason: str, delay_s: float = 0.0) -> Decision:
    """The message did not fail: it is redelivered as the same attempt."""
    return Decision(ending="nack", counted=False, reason=reason, delay_s=delay_s)


def crashes(delivery: Delivery) -> int:
    """How many earlier deliveries ended without an answer of their worker."""
    return delivery.deliveries - delivery.attempt - delivery.released


def is_crash_loop(delivery: Delivery, *, release_counts: bool) -> bool:
    """Whether too many workers died of this message for it to be run once more."""
    return crashes(delivery) >= (CRASH_CAP_WHERE_RELEASES_COUNT if release_counts else CRASH_CAP)


def decide_rejection(
    rejection: Rejection, delivery: Delivery, retry: RetrySettings, *, now: float, chance: float, release_counts: bool
) -> Decision:
    """What becomes of a message that is not run.

    An unknown workflow is deferred, since a deployment may be rolling. An internal error counts as a failed attempt.
    """
    if rejection.reason == INTERNAL_ERROR:
        return _retry_or_dead(INTERNAL_ERROR, rejection.error, delivery, retry, now=now, chance=chance)
    if rejection.reason == UNKNOWN_WORKFLOW:
        defer_s = retry.defer_unknown_s
        first_seen_at = delivery.first_seen_at if delivery.first_seen_at is not None else now
        left_s = defer_s - (now - first_seen_at)
        if left_s > 0:
            return release(UNKNOWN_WORKFLOW, min(defer_delay_s(defer_s, release_counts=release_counts), left_s))
    return _dead(rejection.reason, rejection.error)


def decide_run(run: Run, delivery: Delivery, retry: RetrySettings, *, now: float, chance: float) -> Decision:
    """What becomes of a message whose workflow ran."""
    if run.status == "completed":
        return Decision(ending="ack")
    if run.cancel_reason in RELEASED_FOR:
        return release(str(run.cancel_reason))
    code = run.error.code if run.error is not None else None
    error = run.error.message if run.error is not None else f"run {run.status}"
    if code is not None and code.startswith(PERMANENT_CODES):
        return _dead("permanent_failure", error)
    return _retry_or_dead("max_attempts", error, delivery, retry, now=now, chance=chance)


def _retry_or_dead(
    last_reason: str, error: str, delivery: Delivery, retry: RetrySettings, *, now: float, chance: float
) -> Decision:
    if delivery.attempt >= retry.max_attempts:
        return _dead(last_reason, error)
    delay_s = retry_delay_s(retry, delivery.attempt, chance)
    first_seen_at = delivery.first_seen_at
    if retry.max_age_s is not None and first_seen_at is not None and now + delay_s - first_seen_at > retry.max_age_s:
        return _dead("max_age", error)
    if delivery.expires_at is not None and now + delay_s > delivery.expires_at:
        return _dead(EXPIRED, error)
    return Decision(ending="nack", delay_s=delay_s, error=error)


def _dead(reason: str, error: str) -> Decision:
    return Decision(ending="dead_letter", reason=reason, error=error)
