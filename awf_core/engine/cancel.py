"""A run's stop button: asked once, seen by every wait of that run.

Made by whoever starts a run (the worker, the `run` command), handed to the engine, read by processes and
waits. Asking never blocks and never raises; nothing here kills anything itself.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Cancel:
    """A request to stop that can be made once and is never taken back. Thread-safe."""

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
        """Ask to stop. Only the first reason counts; asking again does nothing. Safe in a signal handler."""
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
        """Have `callback` called once, at once if the request was made already; returns what takes it back.

        The callback runs on the asking thread, must be quick and must not raise. When the returned function
        has returned, the callback is neither running nor will be.
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
    """Take back a callback that has run already."""


def follow(parent: Cancel) -> tuple[Cancel, Callable[[], None]]:
    """A token of its own that is also asked whenever `parent` is; call the second value when done with it."""
    child = Cancel()
    return child, parent.on_request(lambda: child.request(parent.reason or "cancelled"))
