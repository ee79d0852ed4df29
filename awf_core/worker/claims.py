"""When a `--burst` worker is done: every queue was found empty, and no claim is under way whose answer may bring more.

Called by the fetchers of a `--burst` worker, around each consume. Thread-safe.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

AWAIT_OTHERS_S = 0.3
"""How long a fetcher with an empty queue waits for the claims of the others: longer than a consume without an answer
waits, so that all fetchers of idle queues meet."""


class Claims:
    """The claims of a worker with so many queues."""

    def __init__(self, queues: int) -> None:
        self._queues = queues
        self._under_way: set[str] = set()
        self._empty: set[str] = set()
        self._is_checking = False
        self._is_closed = False
        self._changed = threading.Condition()

    def begin(self, queue: str) -> bool:
        """A consume of `queue` is about to begin; False where none may any more."""
        with self._changed:
            self._changed.wait_for(lambda: not self._is_checking)
            if self._is_closed:
                return False
            self._under_way.add(queue)
            return True

    def end(self, queue: str, *, count: int | None) -> None:
        """The consume brought `count` deliveries; None = it failed."""
        with self._changed:
            self._under_way.discard(queue)
            if count == 0:
                self._empty.add(queue)
            elif count is None:
                self._empty.discard(queue)
            else:
                self._empty.clear()
            self._changed.notify_all()

    def are_over(self, check: Callable[[], bool]) -> bool:
        """Whether all queues were found empty, no claim is under way, and `check` agrees. Then none begins any more.

        `check` runs while no consume can begin.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._under_way, AWAIT_OTHERS_S)
            if self._under_way or self._is_checking or len(self._empty) < self._queues:
                return False
            self._is_checking = True
        is_over = False
        try:
            is_over = check()
        finally:
            with self._changed:
                self._is_checking = False
                self._is_closed = self._is_closed or is_over
                self._changed.notify_all()
        return is_over
