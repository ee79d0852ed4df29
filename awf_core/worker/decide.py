"""Decide how a delivery ends. Called by the pipeline only. Pure: no I/O, no clock, chance is handed in.

A table in code: (what happened, which attempt, which policy) -> exactly one verdict.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from awf_core.worker.delays import hold_delay_s, retry_delay_s

if TYPE_CHECKING:
    from awf_core.config.model import RetrySettings
    from awf_core.contract import Delivery
    from awf_core.extensions.results import Run
    from awf_core.worker.plan import Rejection

PERMANENT_CODES = ("USER.", "WORKFLOW.")
UNKNOWN_WORKFLOW = "unknown_workflow"
EXPIRED = "expired"
CRASH_CAP = 5
CRASH_CAP_WHERE_RELEASES_COUNT = 20
"""Higher there, since an orderly restart of a worker can't be told from its death."""
GIVEN_BACK = frozenset({"drain", "stop"})
"""Reasons to cancel a run that are the worker's own affair: the message is given back and the attempt not counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """Ack; the result is published."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Nack, counted: come again after `delay_s`. No result yet."""

    delay_s: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveBack:
    """Nack, uncounted: the message did not fail."""

    delay_s: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dead:
    """To the dead-letter queue; the result is published."""

    reason: str
    error: str


Verdict = Done | Retry | GiveBack | Dead


def crashes(delivery: Delivery) -> int:
    """How many earlier deliveries ended without a word from their worker."""
    return delivery.deliveries - delivery.attempt - delivery.released


def is_crash_loop(delivery: Delivery, *, release_counts: bool) -> bool:
    """Whether this message has taken down too many workers to be run once more."""
    return crashes(delivery) >= (CRASH_CAP_WHERE_RELEASES_COUNT if release_counts else CRASH_CAP)


def decide_rejection(
    rejection: Rejection, delivery: Delivery, *, hold_s: float, now: float, release_counts: bool
) -> Verdict:
    """What becomes of a message that can't be run. Only an unknown workflow waits: a deployment may be rolling."""
    if rejection.reason == UNKNOWN_WORKFLOW:
        seen_at = delivery.first_seen_at if delivery.first_seen_at is not None else now
        left_s = hold_s - (now - seen_at)
        if left_s > 0:
            delay_s = min(hold_delay_s(hold_s, release_counts=release_counts), left_s)
            return GiveBack(delay_s=delay_s, reason=UNKNOWN_WORKFLOW)
    return Dead(reason=rejection.reason, error=rejection.error)


def decide_run(run: Run, delivery: Delivery, retry: RetrySettings, *, now: float, chance: float) -> Verdict:
    """What becomes of a message whose workflow ran."""
    if run.status == "completed":
        return Done()
    if run.cancel_reason in GIVEN_BACK:
        return GiveBack(delay_s=0.0, reason=str(run.cancel_reason))
    code = run.error.code if run.error is not None else None
    error = run.error.message if run.error is not None else f"run {run.status}"
    if code is not None and code.startswith(PERMANENT_CODES):
        return Dead(reason="permanent_failure", error=error)
    return _retry_or_dead("max_attempts", error, delivery, retry, now=now, chance=chance)


def decide_internal_error(
    error: str, delivery: Delivery, retry: RetrySettings, *, now: float, chance: float
) -> Verdict:
    """What becomes of a message that a defect of ours kept from running."""
    return _retry_or_dead("internal_error", error, delivery, retry, now=now, chance=chance)


def _retry_or_dead(
    last_reason: str, error: str, delivery: Delivery, retry: RetrySettings, *, now: float, chance: float
) -> Verdict:
    if delivery.attempt >= retry.max_attempts:
        return Dead(reason=last_reason, error=error)
    delay_s = retry_delay_s(retry, delivery.attempt, chance)
    seen_at = delivery.first_seen_at
    if retry.max_age_s is not None and seen_at is not None and now + delay_s - seen_at > retry.max_age_s:
        return Dead(reason="max_age", error=error)
    if delivery.expires_at is not None and now + delay_s > delivery.expires_at:
        return Dead(reason=EXPIRED, error=error)
    return Retry(delay_s=delay_s, reason=error)
