"""Where log lines go: one stream, whole lines, nothing kept back. Called by log.py only. Never raises at its callers.

A log that can't be written (closed pipe, full disk) must not stop a worker, so those errors end here.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator


class Sink:
    """A stream that threads may share. Has a method per level, as structlog wants of what it wraps.

    A thread that finds another one writing leaves its line to it and goes on: with a lock around each write, the
    threads of a busy worker spent their time waiting for one another.
    """

    def __init__(self) -> None:
        self.stream: TextIO | None = None
        self._lines: deque[str] = deque()
        self._lock = threading.Lock()
        self._held = threading.local()
        # A child made while another thread writes would inherit a lock nobody ever lets go.
        os.register_at_fork(after_in_child=self._start_afresh)

    def write(self, line: str) -> None:
        """Write `line` and a line feed, whole, and flush; or have the thread that is writing do it."""
        self._lines.append(line + "\n")
        if not getattr(self._held, "is_held", False):
            self._drain()

    debug = info = warning = error = critical = write

    @contextmanager
    def together(self) -> Iterator[None]:
        """Lines this thread writes inside go out in one piece at the end."""
        self._held.is_held = True
        try:
            yield
        finally:
            self._held.is_held = False
            self._drain()

    def _drain(self) -> None:
        # Looked at again after each piece: whoever left a line while the lock was held counts on it.
        while self._lines and self._lock.acquire(blocking=False):
            try:
                self._write_out()
            finally:
                self._lock.release()

    def _write_out(self) -> None:
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        stream = self.stream if self.stream is not None else sys.stderr
        try:
            stream.write("".join(lines))
            stream.flush()
        except (OSError, ValueError):
            return

    def _start_afresh(self) -> None:
        self._lines = deque()
        self._lock = threading.Lock()
