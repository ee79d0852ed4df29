"""How long to wait before trying a step again, and whether to.

Called by command steps. Pure but for the given dice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

    from awf_core.lang.model import RetryRule

_LONGEST_MS = 2**63 / 1e6


def is_retried(rule: RetryRule | None, *, attempt: int, exit_code: int) -> bool:
    """Whether failed attempt number `attempt` (from 1) is followed by another."""
    if rule is None or attempt >= rule.max_attempts:
        return False
    return not rule.retryable_exit_codes or exit_code in rule.retryable_exit_codes


def delay_s(rule: RetryRule, attempt: int, rng: random.Random) -> float:
    """Seconds to wait after failed attempt number `attempt` (from 1), never negative."""
    delay_ms = backoff_ms(rule, attempt)
    if rule.jitter:
        delay_ms *= 1 + rule.jitter * rng.uniform(-1, 1)
    return max(0.0, delay_ms / 1000)


def backoff_ms(rule: RetryRule, attempt: int) -> float:
    """The same without jitter, in milliseconds; `max_delay_ms` caps it where it is set."""
    initial_ms = float(rule.initial_delay_ms)
    if rule.backoff == "linear":
        delay_ms = initial_ms * attempt
    elif rule.backoff == "exponential":
        delay_ms = initial_ms * _power(rule.multiplier, attempt - 1)
    else:
        delay_ms = initial_ms
    return min(delay_ms, float(rule.max_delay_ms) if rule.max_delay_ms else _LONGEST_MS)


def _power(base: float, exponent: int) -> float:
    try:
        return float(base**exponent)
    except OverflowError:
        return float("inf")
