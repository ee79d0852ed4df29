"""Where log lines go: one stream, whole lines, none kept back. Called by log.py only. Never raises at its callers.

A log that can't be written (closed pipe, full disk) must not stop a worker, so those errors end here.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator


class LineHandler(logging.Handler):
    """Writes lines to a stream that threads share. `stream=None` is stderr.

    A thread that finds another one writing leaves its line to it and goes on: with a lock around each write, the
    threads of a busy worker spent their time waiting for one another.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stream: TextIO | None = None
        self._lines: deque[str] = deque()
        self._writing = threading.Lock()
        self._batch = threading.local()
        # A child that is forked while another thread writes would inherit a lock that no thread of its own releases.
        os.register_at_fork(after_in_child=self._start_afresh)

    def handle(self, record: logging.LogRecord) -> bool:
        """Write `record`, without the lock that `logging` would take around it. Libraries count from warning up."""
        if record.levelno >= logging.WARNING or hasattr(record, "fields"):
            self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record's line whole and flush it, or have the thread that is writing do it."""
        try:
            self._lines.append(self.format(record) + "\n")
        except Exception:  # noqa: BLE001  (a library's bad log call must not break its caller)
            self.handleError(record)
        if not getattr(self._batch, "is_open", False):
            self._drain()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Lines this thread writes inside go out in one piece at the end."""
        self._batch.is_open = True
        try:
            yield
        finally:
            self._batch.is_open = False
            self._drain()

    def _drain(self) -> None:
        # Checked again after each piece: a thread that left a line while the lock was taken counts on it.
        while self._lines and self._writing.acquire(blocking=False):
            try:
                self._write_out()
            finally:
                self._writing.release()

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
        self._writing = threading.Lock()
