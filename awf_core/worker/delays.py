"""How long a message waits: after a failed attempt, and while its workflow is unknown. Pure arithmetic."""

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


def hold_delay_s(hold_s: float, *, release_counts: bool) -> float:
    """How long a message of an unknown workflow waits before it is looked at again.

    Where a release counts as a delivery, a long hold must not use up the crash cap: twelve looks at most.
    """
    return max(1.0, hold_s / 12) if release_counts else min(max(1.0, hold_s / 12), 10.0)
