"""Limit a repeated warning to one line a second. Called where an outage would otherwise flood the log. Thread-safe."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

    from awf_core.clock import Clock


class Throttle:
    """Lets one line of each key through in `every_s` seconds and counts the others.

        muted = throttle.take("broker")
        if muted is not None:
            log.warning(events.BROKER_UNAVAILABLE, muted=muted)

    Keys are few and known (a backend, a plugin's hook): each is remembered for good.
    """

    def __init__(self, clock: Clock, *, every_s: float = 1.0) -> None:
        self._clock = clock
        self._every_s = every_s
        self._lock = threading.Lock()
        self._next_at: dict[Hashable, float] = {}
        self._muted: dict[Hashable, int] = {}

    def take(self, key: Hashable) -> int | None:
        """How many lines of `key` were muted since the last one, where it may be logged now; None where it may not."""
        now = self._clock.monotonic()
        with self._lock:
            if now < self._next_at.get(key, now):
                self._muted[key] = self._muted.get(key, 0) + 1
                return None
            self._next_at[key] = now + self._every_s
            return self._muted.pop(key, 0)
