"""Time as a value: what needs it is given a Clock, so tests never wait and arithmetic is exact.

Wall time is for what leaves the process (results, logs); monotonic time is for durations and deadlines.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the core asks of time. Implementations are thread-safe."""

    def now(self) -> float:
        """Seconds since the epoch, UTC. May step backwards."""

    def monotonic(self) -> float:
        """Seconds of a clock that never steps, with no fixed origin."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Seconds since the epoch, UTC."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds since some fixed moment of this process."""
        return time.monotonic()


# The last second and its text, both under one name so that threads see them together: logs and results ask for the
# time many thousand times a second.
_last = (0, "1970-01-01T00:00:00.")


def iso_utc(epoch_s: float) -> str:
    """`epoch_s` as RFC 3339 in UTC with milliseconds: `2026-01-02T03:04:05.678Z`. Thread-safe."""
    global _last  # noqa: PLW0603
    whole = int(epoch_s)
    second, text = _last
    if whole != second:
        text = datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S.")
        _last = (whole, text)
    return f"{text}{int(epoch_s * 1000) % 1000:03d}Z"
