"""One small helper process per worker: it outlives a killed worker for a moment, to kill its steps.

`run_process.py` marks a step's token as running before it starts the step, and clears it afterwards. Marking is a write
to memory shared with the helper, so a step costs it no wake-up. The helper touches no process while the worker lives.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import mmap
import os
import signal
import sys
import tempfile
import threading
import time
from collections import deque
from pathlib import Path

from awf_core.engine.process import orphans, sweep
from awf_core.engine.process.launch import unnumbered

_log = logging.getLogger(__name__)
_SLOTS = 4096
_CHECK_S = 1.0
"""How often at most it is checked whether the helper still lives."""
_IGNORED_AT_START = (signal.SIGPIPE, signal.SIGXFSZ)


class Guardian:
    """The parent's side of the helper; started by the first `open`.

    Thread-safe, not to be used after a fork.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free = deque(range(_SLOTS))
        self._memory: mmap.mmap | None = None
        self._memory_fd = -1
        self._pipe_fd = -1
        self._check_at = 0.0
        self._is_impossible = False
        self.pid: int | None = None

    def open(self, token: bytes) -> int:
        """Mark `token` (at most 63 bytes, no zero) as running; returns what `close` wants.

        -1: could not be marked.
        """
        if self.pid is None or time.monotonic() >= self._check_at:
            self._try_start()
        memory = self._memory
        if memory is None or not self._free:
            return -1
        slot = self._free.popleft()
        at = slot * sweep.SLOT_BYTES
        memory[at : at + sweep.SLOT_BYTES] = token.ljust(sweep.SLOT_BYTES, b"\0")
        return slot

    def close(self, slot: int) -> None:
        """Clear a token: its step is over, and what it left in the background may live."""
        memory = self._memory
        if slot < 0 or memory is None:
            return
        memory[slot * sweep.SLOT_BYTES] = 0
        self._free.append(slot)

    def stop(self) -> None:
        """Disconnect from the helper, which then kills what is still marked, and ends. Idempotent."""
        with self._lock:
            self.forget()

    def forget(self) -> None:
        """Close this process's ends, as a forked child has to: an open one would keep the helper waiting."""
        for descriptor in (self._pipe_fd, self._memory_fd):
            if descriptor >= 0:
                os.close(descriptor)
        self._pipe_fd = self._memory_fd = -1
        self._memory = None
        self.pid = None

    def _has_died(self) -> bool:
        pid = self.pid
        if pid is None:
            return True
        try:
            return os.waitpid(pid, os.WNOHANG)[0] != 0
        except ChildProcessError:
            return True

    def _try_start(self) -> None:
        if self._is_impossible:
            return
        try:
            self._start()
        except OSError as problem:
            # Steps work without it; only what a killed worker leaves behind stays.
            self._is_impossible = True
            self.forget()
            _log.warning("no guardian process: %s; steps of a killed worker will keep running", problem)

    def _start(self) -> None:
        with self._lock:
            self._check_at = time.monotonic() + _CHECK_S
            if self.pid is not None and not self._has_died():
                return
            if self._memory is None:
                self._memory_fd = _shared_file(_SLOTS * sweep.SLOT_BYTES)
                self._memory = mmap.mmap(self._memory_fd, _SLOTS * sweep.SLOT_BYTES)
            if self._pipe_fd >= 0:
                os.close(self._pipe_fd)
            read_fd, self._pipe_fd = os.pipe()
            try:
                with unnumbered():
                    self.pid = _spawn(read_fd, self._memory_fd)
                orphans.expect(self.pid)
            finally:
                os.close(read_fd)


def _shared_file(size_bytes: int) -> int:
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("awf-steps")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.truncate(descriptor, size_bytes)
    return descriptor


def _spawn(pipe_fd: int, memory_fd: int) -> int:
    """Start the helper in a session of its own, with an empty environment so that no sweep ever finds it."""
    actions = [
        (os.POSIX_SPAWN_DUP2, pipe_fd, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_DUP2, memory_fd, 3),
    ]
    argv = [sys.executable, "-I", "-S", str(Path(sweep.__file__))]
    return os.posix_spawn(sys.executable, argv, {}, file_actions=actions, setsid=True, setsigdef=_IGNORED_AT_START)


_current = Guardian()


def guardian() -> Guardian:
    """The guardian of this process."""
    return _current


def _after_fork() -> None:
    global _current  # noqa: PLW0603 - one guardian a process, and this is another process now
    with contextlib.suppress(OSError):
        _current.forget()
    _current = Guardian()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(lambda: guardian().stop())
