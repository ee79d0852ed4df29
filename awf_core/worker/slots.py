"""How much a worker may have in hand at once: runs, and unsettled messages. And how many it takes in all.

Fetchers reserve slots before they consume, so no delivery waits in a worker's memory. A reservation that brought no
delivery is released. A message frees its slot when its run is over, and its room when it is settled.
"""

from __future__ import annotations

import threading
from collections import deque

LINGER_S = 0.0005
"""How long a busy fetcher waits for more free slots: one claim for five messages costs little more than for one."""

NEVER = 1 << 60
"""The number of free slots to wake a fetcher for while none waits: there are never as many."""


class Slots:
    """A counted pool shared by the fetchers of all queues. Thread-safe.

    total       how many messages run at once
    unsettled   how many may be claimed and not settled, running or not; None = no limit of its own
    """

    def __init__(self, total: int, *, unsettled: int | None = None, sharers: int = 1) -> None:
        self.total = total
        self._idle = total
        self._room = NEVER if unsettled is None else unsettled
        self._sharers = sharers
        self._half = (total + 1) // 2
        # Those in line wait for any slot; a fetcher by itself says for how many.
        self._wanted = NEVER if sharers == 1 else 1
        self._closed = False
        self._line: deque[int] = deque()
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)

    @property
    def in_use(self) -> int:
        """Slots reserved or busy now."""
        return self.total - self._idle

    @property
    def is_full_of_unsettled(self) -> bool:
        """Whether messages could run, and none may be claimed before others are settled."""
        return self._room <= 0 < self._idle

    def reserve(self, timeout_s: float, *, is_busy: bool = False) -> int:
        """Take this fetcher's fair share of the free slots, at least one; 0 when none came free in time or on close.

        `is_busy`: the last consume brought something, so it pays to wait a moment for half of the slots.
        """
        with self._changed:
            if self._sharers > 1:
                return self._in_turn(timeout_s)
            if is_busy and self._free() < self._half and not self._closed:
                self._wait(self._half, LINGER_S)
            if self._free() <= 0 and not self._closed:
                self._wait(1, timeout_s)
            return 0 if self._closed else self._take()

    def _free(self) -> int:
        return min(self._idle, self._room)

    def _in_turn(self, timeout_s: float) -> int:
        """With the lock held: stand in line, or the fetcher that released a slot always takes it first."""
        me = threading.get_ident()
        if me not in self._line:
            self._line.append(me)
        self._changed.wait_for(lambda: self._closed or (self._free() > 0 and self._line[0] == me), timeout_s)
        if self._closed or self._free() <= 0 or self._line[0] != me:
            # The place in line is kept until this fetcher asks again.
            return 0
        self._line.popleft()
        share = self._take()
        self._changed.notify_all()
        return share

    def _take(self) -> int:
        share = -(-max(0, self._free()) // self._sharers)
        self._idle -= share
        self._room -= share
        return share

    def release(self, count: int = 1) -> None:
        """So many reserved slots brought no message."""
        if count:
            with self._lock:
                self._idle += count
                self._room += count
                self._wake()

    def ran(self) -> None:
        """A run is over; its message is still to be settled."""
        with self._lock:
            self._idle += 1
            self._wake()

    def settled(self) -> None:
        """A message is settled, or lost."""
        with self._lock:
            self._room += 1
            self._wake()

    def close(self) -> None:
        """From now on `reserve` gives nothing. Idempotent."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _wake(self) -> None:
        """With the lock held: wake the fetchers if enough is free."""
        if self._free() >= self._wanted:
            self._changed.notify_all()
            if self._sharers == 1:
                self._wanted = NEVER

    def _wait(self, wanted: int, timeout_s: float) -> None:
        """With the lock held: wait until `wanted` slots are free. Waking a fetcher for less costs a thread switch."""
        self._wanted = wanted
        self._changed.wait_for(lambda: self._free() >= wanted or self._closed, timeout_s)
        self._wanted = NEVER


class Budget:
    """How many messages a worker may still take (`--max-messages`); None = no end. Thread-safe.

    Granted is not yet used: a fetcher keeps its grant for as long as its queue is empty.
    """

    def __init__(self, total: int | None) -> None:
        self._left = total
        self._untaken = total
        self._lock = threading.Lock()

    def take(self, wanted: int) -> int:
        """A grant of up to `wanted` messages."""
        if self._left is None:
            return wanted
        with self._lock:
            granted = min(wanted, self._left)
            self._left -= granted
            return granted

    def release(self, count: int) -> None:
        """This much was granted and is not used."""
        if self._left is not None and count:
            with self._lock:
                self._left += count

    def use(self, count: int) -> None:
        """This many messages were taken. Called once they are in hand, so that the count misses none in between."""
        if self._untaken is not None:
            with self._lock:
                self._untaken -= count

    @property
    def is_spent(self) -> bool:
        """Whether as many messages as there may be were taken."""
        return self._untaken == 0
