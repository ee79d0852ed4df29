"""How long a message waits: after a failed attempt, and while its workflow is unknown. Pure arithmetic.

Called by decide.py, and a file of its own so that its name says where a retry's delay comes from. The wait before a
broker is asked again is another matter: `awf_core/backoff.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from awf_core.config.model import RetrySettings

LONGEST_DEFER_S = 10.0
"""Short enough that a message runs soon after its workflow was deployed."""


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


def defer_delay_s(defer_s: float) -> float:
    """Seconds until a deferred message is redelivered; `defer_s` is how long it is deferred in all."""
    return min(max(1.0, defer_s / 12), LONGEST_DEFER_S)
