"""A descriptor that becomes readable when a run is asked to stop, and one that does when a process ends.

Used by `process.py` so that one `poll` waits for output, exit, time and cancel together. Linux has ready-made
descriptors for both; elsewhere a pipe and a tick do.
"""

from __future__ import annotations

import os

TICK_MS = 20


class Wake:
    """Readable from the moment `set` was called.

    Not reusable; close it after its last `set` can have come.
    """

    __slots__ = ("_write_fd", "fd")

    def __init__(self) -> None:
        if hasattr(os, "eventfd"):
            self.fd = self._write_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        else:
            self.fd, self._write_fd = os.pipe()

    def set(self) -> None:
        """Make `fd` readable."""
        os.write(self._write_fd, b"\1\0\0\0\0\0\0\0")

    def close(self) -> None:
        """Give the descriptors back."""
        os.close(self.fd)
        if self._write_fd != self.fd:
            os.close(self._write_fd)


def open_exit_fd(pid: int) -> int | None:
    """A descriptor that is readable once child `pid` has ended; None where there is no such thing."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None
