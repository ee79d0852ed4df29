"""Where log lines go: one stream, one lock, one flush a line. Called by log.py only.
Never raises at its callers.

A log that can't be written (closed pipe, full disk) must not stop a worker, so those errors end here.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import TextIO


class Sink:
    """A stream that threads may share. Has a method per level, as structlog wants of what it wraps."""

    def __init__(self) -> None:
        self.stream: TextIO | None = None
        self._lock = threading.Lock()
        # A child made while another thread writes would inherit a lock nobody ever lets go.
        os.register_at_fork(after_in_child=self._renew_lock)

    def write(self, line: str) -> None:
        """Write `line` and a line feed, whole, and flush."""
        stream = self.stream if self.stream is not None else sys.stderr
        with self._lock:
            try:
                stream.write(line + "\n")
                stream.flush()
            except (OSError, ValueError):
                return

    debug = info = warning = error = critical = write

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()
