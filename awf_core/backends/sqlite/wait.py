"""How a consume sleeps until there may be something to take, without busy polling.

Writes of this process wake it through a condition; those of other processes show in `PRAGMA data_version`,
polled with growing pauses. Called by `claim.py`; knows nothing of messages.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_SHORTEST_S = 0.005
_LONGEST_S = 0.05
_GROWTH = 1.5


class Waker:
    """Wakes waiting consumes. Thread-safe."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._changes = 0
        self._stopped = False
        _ALL.add(self)

    @property
    def is_stopped(self) -> bool:
        """Whether consumes shall return at once."""
        return self._stopped

    @property
    def changes(self) -> int:
        """Grows with every notify; read before looking, handed to `wait` after."""
        return self._changes

    def notify(self) -> None:
        """Something may have become ready."""
        with self._condition:
            self._changes += 1
            self._condition.notify_all()

    def stop(self) -> None:
        """End every wait, now and from now on."""
        with self._condition:
            self._stopped = True
            self._condition.notify_all()

    def restart(self) -> None:
        """Allow waiting again."""
        with self._condition:
            self._stopped = False

    def wait(self, seen_changes: int, has_changed: Callable[[], bool], wait_s: float) -> None:
        """Return when `changes` isn't `seen_changes`, `has_changed()` (asked every 5 to 50 ms), stopped, or
        `wait_s` over.
        """
        end, pause_s = time.monotonic() + wait_s, _SHORTEST_S
        while (left_s := end - time.monotonic()) > 0:
            with self._condition:
                if self._stopped or self._changes != seen_changes:
                    return
                self._condition.wait(min(pause_s, left_s))
            if has_changed():
                return
            pause_s = min(pause_s * _GROWTH, _LONGEST_S)

    def forget_threads(self) -> None:
        """In a child after a fork: the threads that waited, or held the condition, are not here."""
        self._condition = threading.Condition()


_ALL: weakref.WeakSet[Waker] = weakref.WeakSet()


def _after_fork() -> None:
    for waker in list(_ALL):
        waker.forget_threads()


os.register_at_fork(after_in_child=_after_fork)
