"""Keep the time of the queues that this process consumes. Called by `claim.py` and `backend.py`.

A queue's clock counts the time between two scripts only where it is short (see `lua/clock.lua`). A consumer that waits
runs a script at least every few seconds; where all slots are taken none does, and this thread runs one instead. It
sends nothing for a queue that was claimed from meanwhile.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from awf_core.errors import BrokerError

if TYPE_CHECKING:
    from awf_mq_redis.connection import RedisConnection

TICK_S = 3.0
"""The longest time without a script on a queue; less than a third of what the clock counts as time."""

PAUSE_S = 30.0
"""The pause for a queue whose server doesn't answer, so that it delays the ticks of no other for long."""


class Ticker:
    """A thread that starts with the first claim and ends with `stop`. Thread-safe; each process has its own."""

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection
        self._is_open = False
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._due_s: dict[str, float] = {}
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Allow the thread to start."""
        self._is_open = True

    def stop(self) -> None:
        """End the thread, at once unless a call is under way. Idempotent."""
        self._is_open = False
        self._stopped.set()

    def note(self, queue: str) -> None:
        """A claim of `queue` has just run."""
        if not self._is_open:
            return
        if self._stopped.is_set() or self._pid != os.getpid():
            self._reset()
        self._due_s[queue] = time.monotonic() + TICK_S
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, args=(self._stopped, self._due_s), name="redis-ticker", daemon=True
                )
                self._thread.start()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._due_s = {}
        self._thread = None

    def _run(self, stopped: threading.Event, due_s: dict[str, float]) -> None:
        while not stopped.wait(self._wait_s(due_s)):
            queue, at_s = min(due_s.copy().items(), key=lambda item: item[1])
            if at_s <= time.monotonic():
                due_s[queue] = time.monotonic() + self._ticked(queue)

    def _wait_s(self, due_s: dict[str, float]) -> float:
        return min(max(0.0, min(due_s.copy().values()) - time.monotonic()), TICK_S)

    def _ticked(self, queue: str) -> float:
        """Tick; the seconds until the next time."""
        with suppress(BrokerError):
            self._connection.run(f"keep the time of {queue!r}", "tick", self._connection.keys(queue).all)
            return TICK_S
        return PAUSE_S
