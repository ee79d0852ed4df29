"""Wall time in milliseconds for due times and leases, steadied against small backward steps.

All processes of the host compare times they wrote into the file, so they have to agree. Small steps back
(time servers make them) are hidden to keep messages in order. A large one is a correction and taken as the
truth: a process that held on to the old time would see every other process's leases as over, and take live
messages away from them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from awf_core.clock import Clock

TOLERANCE_MS = 1_000
MAX_SPAN_S = 10 * 365 * 86_400.0
"""The longest delay or expiry taken; beyond it a number is a mistake."""


class WallClock:
    """Epoch milliseconds that step back only when the clock was set back by more than TOLERANCE_MS. Thread-
    safe.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last_ms = 0

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        now_ms = int(self._clock.now() * 1000)
        last_ms = self._last_ms
        if last_ms - TOLERANCE_MS <= now_ms < last_ms:
            return last_ms
        # Two threads may cross here; what is lost is a few milliseconds of steadiness, and no lock is held in
        # a fork.
        self._last_ms = now_ms
        return now_ms

    def monotonic_s(self) -> float:
        """Seconds of the context's monotonic clock."""
        return self._clock.monotonic()


def span_ms(seconds: float) -> int:
    """`seconds` in whole milliseconds, rounded up: a delay is never cut short. Negative counts as 0."""
    whole = int(seconds * 1000)
    return max(0, whole if whole >= seconds * 1000 else whole + 1)
