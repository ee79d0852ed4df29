"""How long a piece of a run may still take, and the request to stop it.

`Cancel` is made by the caller that starts a run (the worker, `awf run`). The engine makes a `Deadline` for each state;
steps, hooks and processes wait with it. Nothing here kills anything.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from awf_core.clock import Clock

DEADLINE_TEXT = "context deadline exceeded"
CANCELLED_TEXT = "context canceled"


class Cancel:
    """A request to stop. It is made once and never withdrawn. Thread-safe."""

    __slots__ = ("_callbacks", "_condition", "_reason")

    def __init__(self) -> None:
        # Re-entrant: a signal handler may ask while its own thread is inside one of these methods.
        self._condition = threading.Condition(threading.RLock())
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._reason: str | None = None

    @property
    def requested(self) -> bool:
        """Whether the run was asked to stop."""
        return self._reason is not None

    @property
    def reason(self) -> str | None:
        """The reason given with the first request, None while there is none."""
        return self._reason

    def request(self, reason: str) -> None:
        """Ask to stop. Only the first reason counts. Never blocks, never raises; safe in a signal handler."""
        with self._condition:
            if self._reason is not None:
                return
            self._reason = reason
            for callback in list(self._callbacks.values()):
                callback()
            self._callbacks.clear()
            self._condition.notify_all()

    def wait(self, seconds: float) -> bool:
        """Sleep up to `seconds`; True as soon as the run was asked to stop, False when the time is over."""
        with self._condition:
            return self._condition.wait_for(
                lambda: self._reason is not None, timeout=min(max(0.0, seconds), threading.TIMEOUT_MAX)
            )

    def on_request(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` once when the request is made, at once if it was made already.

        The callback runs on the asking thread, must be quick and must not raise. The returned function unregisters it:
        once that has returned, the callback is neither running nor will be.
        """
        key = id(callback)
        with self._condition:
            if self._reason is not None:
                callback()
                return _nothing
            self._callbacks[key] = callback

        def unregister() -> None:
            with self._condition:
                self._callbacks.pop(key, None)

        return unregister


def _nothing() -> None:
    """Unregister a callback that has run already."""


def follow(parent: Cancel) -> tuple[Cancel, Callable[[], None]]:
    """A token of its own that is also asked when `parent` is. Call the second value when the token is done with."""
    child = Cancel()
    return child, parent.on_request(lambda: child.request(parent.reason or "cancelled"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """A time limit and a cancel token. Check it before each wait, and return soon after it is over. Thread-safe.

    ends_at   `Clock.monotonic()` seconds, None = no limit
    """

    clock: Clock
    cancel: Cancel
    ends_at: float | None = None

    def left_s(self) -> float | None:
        """Seconds left, 0 or less once they are over, None = no limit."""
        return None if self.ends_at is None else self.ends_at - self.clock.monotonic()

    def stop_reason(self) -> str | None:
        """Why nothing may be started any more: CANCELLED_TEXT or DEADLINE_TEXT; None while it may."""
        if self.cancel.requested:
            return CANCELLED_TEXT
        left_s = self.left_s()
        return DEADLINE_TEXT if left_s is not None and left_s <= 0 else None

    def sleep(self, seconds: float) -> str | None:
        """Wait `seconds`. Returns early, with the `stop_reason`, when the deadline or a request to stop comes first."""
        left_s = self.left_s()
        wait_s = seconds if left_s is None else min(seconds, left_s)
        if self.cancel.wait(wait_s):
            return CANCELLED_TEXT
        return DEADLINE_TEXT if left_s is not None and left_s <= seconds else None

    def with_cancel(self, cancel: Cancel) -> Deadline:
        """The same time limit with another cancel token."""
        return replace(self, cancel=cancel)

    def no_later_than(self, ends_at: float) -> Deadline:
        """The earlier of the two: this one, or one that ends at `ends_at` (`Clock.monotonic()` seconds)."""
        if self.ends_at is not None and self.ends_at <= ends_at:
            return self
        return replace(self, ends_at=ends_at)
