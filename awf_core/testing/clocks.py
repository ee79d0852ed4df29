"""Clocks for tests: one that is wrong, and one that the test sets. Both thread-safe."""

from __future__ import annotations

import time


class SkewedClock:
    """The machine's clock, `offset_s` seconds off in wall time, as on a badly set host; monotonic time is right."""

    def __init__(self, offset_s: float) -> None:
        self.offset_s = offset_s

    def now(self) -> float:
        """Seconds since the epoch, off by the offset."""
        return time.time() + self.offset_s

    def monotonic(self) -> float:
        """Seconds since some fixed moment of this process."""
        return time.monotonic()


class SetClock:
    """Stands still until the test moves it."""

    def __init__(self, now_s: float = 1_800_000_000.0) -> None:
        self._now_s = now_s
        self._monotonic_s = 1000.0

    def now(self) -> float:
        """Seconds since the epoch, as set."""
        return self._now_s

    def monotonic(self) -> float:
        """Seconds since an arbitrary start."""
        return self._monotonic_s

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self._now_s += seconds
        self._monotonic_s += seconds

    def set_back(self, seconds: float) -> None:
        """Set the wall time back, as an operator or a time server does; negative = forward. Monotonic time stays."""
        self._now_s -= seconds
