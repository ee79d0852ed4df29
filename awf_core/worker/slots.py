"""How many deliveries may be in hand at once. Fetchers reserve before they take, so nothing waits in a worker's memory.

Thread-safe. A reservation that brought no delivery is given back; a delivery gives its slot back when its run is over.
"""

from __future__ import annotations

import threading


class Slots:
    """A counted pool shared by the fetchers of all queues."""

    def __init__(self, total: int, *, sharers: int = 1) -> None:
        self.total = total
        self._free = total
        self._sharers = sharers
        self._closed = False
        self._changed = threading.Condition()

    @property
    def in_use(self) -> int:
        """Slots reserved or busy now."""
        return self.total - self._free

    @property
    def is_idle(self) -> bool:
        """Whether every slot is free."""
        return self._free == self.total

    def reserve(self, timeout_s: float) -> int:
        """Take this fetcher's fair share of the free slots, at least one; 0 when none came free in time or on close."""
        with self._changed:
            self._changed.wait_for(lambda: self._free > 0 or self._closed, timeout_s)
            if self._closed or self._free <= 0:
                return 0
            share = -(-self._free // self._sharers)
            self._free -= share
            return share

    def release(self, count: int = 1) -> None:
        """Give `count` slots back."""
        if count:
            with self._changed:
                self._free += count
                self._changed.notify_all()

    def close(self) -> None:
        """From now on `reserve` gives nothing. Idempotent."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
