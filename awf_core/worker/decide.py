"""Decide how a delivery ends. Called by the pipeline only. Pure: time and chance are handed in.

Ages are the broker's, plus what has passed here since the claim: no two machines' clocks are compared.

A table in code: (what happened, which attempt, which policy) -> exactly one decision.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from awf_core.lang.untrusted import UNSAFE_INPUT
from awf_core.result import first_line
from awf_core.worker.outcome import LEASE_LOST
from awf_core.worker.plan import EXPIRED, INTERNAL_ERROR, INVALID_WORKFLOW, UNKNOWN_WORKFLOW, UNSAFE
from awf_core.worker.retry_delay import defer_delay_s, retry_delay_s

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from awf_core.config.model import RetrySettings
    from awf_core.contract import Delivery
    from awf_core.extensions.results import Run
    from awf_core.worker.plan import Rejection

PERMANENT_CODES = ("USER.", "WORKFLOW.")
CRASH_CAP = 5
"""How many workers may die of a message before it is dead-lettered."""
RELEASED_FOR = frozenset({"drain", "stop", LEASE_LOST})
"""Reasons to cancel a run that concern the worker, not the message: the message is released."""
DEFERRED_FOR = frozenset({UNKNOWN_WORKFLOW, INVALID_WORKFLOW})
"""Reasons that a deployment may remove: the message is deferred for `mq.retry.defer_unknown`."""

DEFERRED_S: Final = "deferred_s"
"""The key in an entry of the history that sums up the deferrals of a message."""
_MOST_DEFERRED_S = 1e9

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


_DONE = Decision(ending="ack")


def release(reason: str, delay_s: float = 0.0) -> Decision:
    """The message did not fail: it is redelivered as the same attempt."""
    return Decision(ending="nack", counted=False, reason=reason, delay_s=delay_s)


def is_crash_loop(delivery: Delivery) -> bool:
    """Whether too many workers died of this message for it to be run once more."""
    return delivery.crashes >= CRASH_CAP


def is_expired(delivery: Delivery, since_claim_s: float) -> bool:
    """Whether the time is over in which the producer wants the message run."""
    return delivery.expires_in_s is not None and delivery.expires_in_s <= since_claim_s


def decide_rejection(
    rejection: Rejection, delivery: Delivery, retry: RetrySettings, *, since_claim_s: float, chance: float
) -> Decision:
    """What becomes of a message that is not run.

    A workflow that is unknown or can't be loaded is waited for, since a deployment may be rolling. An internal error
    counts as a failed attempt.
    """
    if rejection.reason == INTERNAL_ERROR:
        return _retry_or_dead(
            INTERNAL_ERROR, rejection.error, delivery, retry, since_claim_s=since_claim_s, chance=chance
        )
    if rejection.reason in DEFERRED_FOR:
        age_s = delivery.age_s
        waited_s = deferred_s(delivery.history) if age_s is None else age_s + since_claim_s
        left_s = retry.defer_unknown_s - waited_s
        if left_s > 0:
            delay_s = min(defer_delay_s(retry.defer_unknown_s), left_s)
            return replace(release(rejection.reason, delay_s), error=rejection.error)
    return _dead(rejection.reason, rejection.error)


def deferred_s(history: Sequence[Mapping[str, object]]) -> float:
    """For how many seconds in all the message was deferred, as `history_after_deferral` noted it.

    What a producer wrote there can only shorten the time.
    """
    noted = (entry.get(DEFERRED_S) for entry in history)
    # Bounded from both sides, which makes 0 of a NaN as well.
    return sum(min(max(0.0, each), _MOST_DEFERRED_S) for each in noted if isinstance(each, (int, float)))


def history_after_deferral(delivery: Delivery, decision: Decision) -> Sequence[Mapping[str, object]]:
    """The history to store when `delivery` is deferred.

    Where the broker does not know the age of a message, one entry sums up the deferrals, so that they have an end.
    """
    if delivery.age_s is not None:
        return delivery.history
    failures = [entry for entry in delivery.history if DEFERRED_S not in entry]
    total_s = deferred_s(delivery.history) + decision.delay_s
    entry = {"attempt": delivery.attempt, "reason": decision.reason, DEFERRED_S: total_s}
    return (*failures, entry)


def decide_run(run: Run, delivery: Delivery, retry: RetrySettings, *, since_claim_s: float, chance: float) -> Decision:
    """What becomes of a message whose workflow ran."""
    if run.status == "completed":
        return _DONE
    if run.cancel_reason in RELEASED_FOR:
        return release(str(run.cancel_reason))
    code = run.error.code if run.error is not None else None
    if code == UNSAFE_INPUT:
        return _dead(UNSAFE, run.error.message if run.error is not None else "")
    error = run.error.message if run.error is not None else f"run {run.status}"
    if code is not None and code.startswith(PERMANENT_CODES):
        return _dead("permanent_failure", error)
    return _retry_or_dead("max_attempts", error, delivery, retry, since_claim_s=since_claim_s, chance=chance)


def _retry_or_dead(
    last_reason: str, error: str, delivery: Delivery, retry: RetrySettings, *, since_claim_s: float, chance: float
) -> Decision:
    if delivery.attempt >= retry.max_attempts:
        return _dead(last_reason, error)
    delay_s = retry_delay_s(retry, delivery.attempt, chance)
    waits_s = since_claim_s + delay_s
    if retry.max_age_s is not None and delivery.age_s is not None and delivery.age_s + waits_s > retry.max_age_s:
        return _dead("max_age", error)
    if is_expired(delivery, waits_s):
        return _dead(EXPIRED, error)
    return Decision(ending="nack", delay_s=delay_s, error=error)


def _dead(reason: str, error: str) -> Decision:
    return Decision(ending="dead_letter", reason=reason, error=error)
