"""How many deliveries may be in hand at once. Fetchers reserve before they take, so nothing waits in a worker's memory.

Thread-safe. A reservation that brought no delivery is given back; a delivery gives its slot back when its run is over.
"""

from __future__ import annotations

import threading
from collections import deque

GATHER_S = 0.0005
"""How long a busy fetcher lets free slots gather, since one claim for five messages costs little more than for one."""

UNWANTED = 1 << 60
"""While no fetcher waits, nobody is told of a slot that came free."""


class Slots:
    """A counted pool shared by the fetchers of all queues."""

    def __init__(self, total: int, *, sharers: int = 1) -> None:
        self.total = total
        self._free = total
        self._sharers = sharers
        self._half = (total + 1) // 2
        # Those in line wait for any slot; a fetcher by itself says for how many.
        self._wanted = UNWANTED if sharers == 1 else 1
        self._closed = False
        self._line: deque[int] = deque()
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)

    @property
    def in_use(self) -> int:
        """Slots reserved or busy now."""
        return self.total - self._free

    def reserve(self, timeout_s: float, *, is_busy: bool = False) -> int:
        """Take this fetcher's fair share of the free slots, at least one; 0 when none came free in time or on close.

        `is_busy`: the last look at the queue brought something, so it pays to wait a moment for half of the slots.
        """
        with self._changed:
            if self._sharers > 1:
                return self._in_turn(timeout_s)
            if is_busy and self._free < self._half and not self._closed:
                self._wait(self._half, GATHER_S)
            if self._free <= 0 and not self._closed:
                self._wait(1, timeout_s)
            return 0 if self._closed else self._take()

    def _in_turn(self, timeout_s: float) -> int:
        """With the lock held: stand in line, lest the fetcher that gave a slot back be always the first to take it."""
        me = threading.get_ident()
        if me not in self._line:
            self._line.append(me)
        self._changed.wait_for(lambda: self._closed or (self._free > 0 and self._line[0] == me), timeout_s)
        if self._closed or self._free <= 0 or self._line[0] != me:
            # The place in line is kept until this fetcher asks again.
            return 0
        self._line.popleft()
        share = self._take()
        self._changed.notify_all()
        return share

    def _take(self) -> int:
        share = -(-self._free // self._sharers)
        self._free -= share
        return share

    def release(self, count: int = 1) -> None:
        """Give `count` slots back."""
        if count:
            with self._lock:
                self._free += count
                if self._free >= self._wanted:
                    self._changed.notify_all()
                    if self._sharers == 1:
                        self._wanted = UNWANTED

    def close(self) -> None:
        """From now on `reserve` gives nothing. Idempotent."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _wait(self, wanted: int, timeout_s: float) -> None:
        """With the lock held: wait until `wanted` slots are free. Waking a fetcher for less would cost a hand-over."""
        self._wanted = wanted
        self._changed.wait_for(lambda: self._free >= wanted or self._closed, timeout_s)
        self._wanted = UNWANTED
