"""Wait for one started process and read what it writes, with a single poll and no thread.

Made by `run_process.py` for each process, used on one thread. It never kills: it returns how the wait ended. One `poll`
waits for output, exit, time and cancel together, because a `Wake` and the exit of a process are descriptors too. Linux
has such descriptors; elsewhere a pipe and a tick replace them.
"""

from __future__ import annotations

import os
import select
import time
from typing import TYPE_CHECKING, Literal

from awf_core.engine.process.captured import Captured, OutputLimit

if TYPE_CHECKING:
    from awf_core.engine.process.launch import Started
    from awf_core.extensions.deadline import Cancel
    from awf_core.extensions.outward import OnOutput

WAIT_DELAY_S = 0.1
"""How long pipes may stay open after the process itself has ended."""
QUICK_S = 0.02
"""How long only the pipes are watched. Most commands are over by then, and cost no further descriptor."""
_READ_BYTES = 65536
_LONGEST_POLL_S = 3600.0
_TICK_MS = 20

Wait = Literal["exited", "timeout", "cancelled"]


class Watch:
    """The pipes of a process, and its exit. `close` closes every descriptor."""

    __slots__ = ("_captured", "_on_output", "_open", "_poll", "_popen")

    def __init__(self, started: Started, on_output: OnOutput | None, limit: OutputLimit) -> None:
        self._popen = started.popen
        self._on_output = on_output
        self._open = {started.out_fd: "stdout", started.err_fd: "stderr"}
        self._captured = {"stdout": Captured(limit), "stderr": Captured(limit)}
        self._poll = select.poll()
        self._poll.register(started.out_fd, select.POLLIN)
        self._poll.register(started.err_fd, select.POLLIN)

    def until_exit(self, ends_at: float | None, cancel: Cancel) -> Wait:
        """Read until the process has ended, `ends_at` (monotonic seconds) is over, or a stop was asked for."""
        if self._ends_quickly(ends_at):
            return "exited"
        wake = Wake()
        unregister = cancel.on_request(wake.set)
        exit_fd = open_exit_fd(self._popen.pid)
        extra = [wake.fd] if exit_fd is None else [wake.fd, exit_fd]
        try:
            for descriptor in extra:
                self._poll.register(descriptor, select.POLLIN)
            return self._until_any(exit_fd, ends_at)
        finally:
            for descriptor in extra:
                self._poll.unregister(descriptor)
            unregister()
            wake.close()
            if exit_fd is not None:
                os.close(exit_fd)

    def until_closed(self) -> bool:
        """Read on until no process holds the pipes any more; False when WAIT_DELAY_S is over before that."""
        ends_at = time.monotonic() + WAIT_DELAY_S if self._open else 0.0
        while self._open:
            if not self._read_ready(ends_at):
                return False
        return True

    def output(self, stream: str) -> tuple[bytes, int]:
        """What was read from `stdout` or `stderr` so far, and how many bytes of it were left out."""
        return self._captured[stream].value()

    def close(self) -> None:
        """Close the descriptors. Not to be used afterwards."""
        for descriptor in self._open:
            os.close(descriptor)

    def _ends_quickly(self, ends_at: float | None) -> bool:
        until = time.monotonic() + QUICK_S
        until = until if ends_at is None else min(until, ends_at)
        while self._open:
            if not self._read_ready(until):
                return False
        return self._popen.poll() is not None

    def _read_ready(self, ends_at: float) -> bool:
        """Read what is there, waiting for it until `ends_at`; False when that is over."""
        left_s = ends_at - time.monotonic()
        if left_s <= 0:
            return False
        for descriptor, event in self._poll.poll(left_s * 1000 + 1):
            self._read(descriptor, event)
        return True

    def _until_any(self, exit_fd: int | None, ends_at: float | None) -> Wait:
        while True:
            exited = woken = False
            for descriptor, event in self._poll.poll(_wait_ms(exit_fd, ends_at)):
                if descriptor in self._open:
                    self._read(descriptor, event)
                elif descriptor == exit_fd:
                    exited = True
                else:
                    woken = True
            if exited or (exit_fd is None and self._popen.poll() is not None):
                return "exited"
            if woken:
                return "cancelled"
            if ends_at is not None and time.monotonic() >= ends_at:
                return "timeout"

    def _read(self, descriptor: int, event: int) -> None:
        data = os.read(descriptor, _READ_BYTES) if event & select.POLLIN else b""
        if data:
            stream = self._open[descriptor]
            self._captured[stream].add(data)
            if self._on_output is not None:
                self._on_output(stream, data)
            return
        self._poll.unregister(descriptor)
        del self._open[descriptor]
        os.close(descriptor)


def _wait_ms(exit_fd: int | None, ends_at: float | None) -> float | None:
    if exit_fd is None:
        return _TICK_MS
    if ends_at is None:
        return None
    # Rounded up, so that it does not wake just before the ends_at and spin.
    return max(0.0, min(ends_at - time.monotonic(), _LONGEST_POLL_S)) * 1000 + 1


class Wake:
    """A descriptor that is readable from the moment `set` was called.

    Not reusable. Close it only when `set` can't be called any more.
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
        """Close the descriptors."""
        os.close(self.fd)
        if self._write_fd != self.fd:
            os.close(self._write_fd)


def open_exit_fd(pid: int) -> int | None:
    """A descriptor that is readable once child `pid` has ended; None where there is no such thing."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None
