"""How long a message waits: after a failed attempt, and while its workflow is unknown. Pure arithmetic.

Called by decide.py, and a file of its own so that its name says where a retry's delay comes from. The wait before a
broker is asked again is another matter: `awf_core/backoff.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from awf_core.config.model import RetrySettings


def retry_delay_s(retry: RetrySettings, attempt: int, chance: float) -> float:
    """Seconds until the attempt after `attempt` (1-based); `chance` is a random number in [0, 1)."""
    if retry.backoff == "constant":
        wait_s = retry.initial_delay_s
    elif retry.backoff == "linear":
        wait_s = retry.initial_delay_s * attempt
    else:
        # Beyond 2**60 the cap decides anyway; without the bound a large attempt number overflows.
        wait_s = retry.initial_delay_s * retry.multiplier ** min(attempt - 1, 60)
    wait_s = min(wait_s, retry.max_delay_s)
    return wait_s * (1 - retry.jitter) + wait_s * retry.jitter * chance


def defer_delay_s(defer_s: float, *, release_counts: bool) -> float:
    """Seconds until a message of an unknown workflow is redelivered; `defer_s` is how long it is deferred in all.

    Where a release counts as a delivery, deferring must not use up the crash cap: at most twelve redeliveries.
    """
    return max(1.0, defer_s / 12) if release_counts else min(max(1.0, defer_s / 12), 10.0)
