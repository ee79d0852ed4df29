"""Signals as something to read: the handler does nothing, the number arrives in a pipe.

A handler that runs Python code can strike between any two bytecodes, inside a lock, in the middle of a claim; elsewhere
messages were lost to that. Here the main thread reads the pipe when it is ready to.
"""

from __future__ import annotations

import os
import select
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType, TracebackType

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
WAKE = b"\0"


class SignalPipe:
    """Context manager, main thread only. Restores the handlers it found."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._before: dict[int, object] = {}
        self._before_fd = -1

    def __enter__(self) -> SignalPipe:
        for number in STOP_SIGNALS:
            self._before[number] = signal.signal(number, _noted)
        self._before_fd = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.set_wakeup_fd(self._before_fd)
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        os.close(self._read)
        os.close(self._write)

    def wake(self) -> None:
        """Make a waiting `read` return; from any thread."""
        try:
            os.write(self._write, WAKE)
        except (BlockingIOError, OSError):
            return

    def read(self, timeout_s: float | None) -> list[int]:
        """The stop signals that arrived; [] after `timeout_s` seconds or on `wake`."""
        ready, _, _ = select.select([self._read], [], [], timeout_s)
        if not ready:
            return []
        try:
            received = os.read(self._read, 4096)
        except BlockingIOError:
            return []
        return [number for number in received if number in STOP_SIGNALS]


def _noted(number: int, frame: FrameType | None) -> None:
    """The wake-up descriptor has the number already."""
