"""Signals to read from a pipe: the handler does nothing, and the number arrives in the pipe.

A handler in Python runs between any two bytecodes, inside a lock or in the middle of a claim, and can lose a message.
Here the main thread reads the pipe when it is ready to.
"""

from __future__ import annotations

import os
import select
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from awf_core.observe.log import flush_log

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType, TracebackType

    from awf_core.clock import Clock

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
WAKE = b"\0"
SAME_REQUEST_WITHIN_S = 0.1
"""A terminal and a supervisor often deliver the same Ctrl-C twice, milliseconds apart: that is one request. Only INT
comes from a terminal; every TERM counts."""


class SignalPipe:
    """Context manager, for the main thread only. Restores the earlier handlers."""

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


class StopSignals(SignalPipe):
    """Counts requests to stop: the caller acts on the first and the second, the third ends the process at once.

    At once: without waiting for anything but the log, for two seconds at most.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._count = 0
        self._unseen = 0
        self._last_int_at = float("-inf")

    def is_asked(self, timeout_s: float | None) -> bool:
        """Wait for another request; False after `timeout_s` seconds or on `wake`."""
        for number in self.read(0.0 if self._unseen else timeout_s):
            if self._is_repeated(number):
                continue
            self._count += 1
            self._unseen += 1
            if self._count >= 3:
                # What the worker logged last says why it was hard to stop.
                flush_log()
                os._exit(128 + number)
        if not self._unseen:
            return False
        self._unseen -= 1
        return True

    def _is_repeated(self, number: int) -> bool:
        if number != signal.SIGINT:
            return False
        now = self._clock.monotonic()
        is_repeated = now - self._last_int_at < SAME_REQUEST_WITHIN_S
        if not is_repeated:
            self._last_int_at = now
        return is_repeated

    @contextmanager
    def heard_meanwhile(self) -> Iterator[None]:
        """Listen on a thread while the main thread waits for other threads."""
        is_over = threading.Event()

        def listen() -> None:
            while not is_over.is_set():
                self.is_asked(None)

        listener = threading.Thread(target=listen, name="awf-signals", daemon=True)
        listener.start()
        try:
            yield
        finally:
            is_over.set()
            self.wake()
            listener.join()


def _noted(number: int, frame: FrameType | None) -> None:
    """Does nothing: the wake-up descriptor has the number already."""
