"""Seconds of the contract as the whole milliseconds the server takes. Pure."""

from __future__ import annotations

from awf_core.errors import BrokerError, BrokerMisconfigured

MAX_SPAN_S = 10 * 365 * 86_400.0
"""The longest delay or expiry taken; beyond it a number is a mistake."""


def span_ms(seconds: float) -> int:
    """`seconds` in whole milliseconds, rounded up: a delay is never cut short. Negative counts as 0."""
    whole = int(seconds * 1000)
    return max(0, whole if whole >= seconds * 1000 else whole + 1)


def bad_span(name: str, seconds: float, where: str) -> BrokerError | None:
    """Why a delay or expiry can't be kept; None when it can. Not-a-number compares false and is refused."""
    if seconds <= MAX_SPAN_S:
        return None
    return BrokerMisconfigured(
        f"{where}: {name} is {seconds}, which is not a time the queue can keep",
        hint=f"give at most {MAX_SPAN_S:.0f} seconds (ten years)",
    )
