"""A thread of its own that writes the log's lines, behind a bounded buffer. log.py starts it for `awf worker`.

No caller ever waits for the stream: when the buffer is full, the oldest lines of debug and info are dropped, then those
of warnings, then those of errors, and the next line that is written says how many. Lines stay whole and in order.
"""

from __future__ import annotations

import logging
import os
import select
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

    Line = tuple[int, int, bytes]
    """When it was accepted (a sequence number), its level, and its text."""

MAX_LINES = 8192
MAX_BYTES = 2 * 1024 * 1024
PIECE_BYTES = 64 * 1024
"""How much is written in one call."""
LINGER_S = 0.005
"""How long the writer waits for more lines, so that the threads of a busy worker do not wake it for each."""


class BufferedLines:
    """Lines that wait to be written, within both bounds. Thread-safe, and safe in a signal handler."""

    def __init__(self, *, max_lines: int = MAX_LINES, max_bytes: int = MAX_BYTES) -> None:
        self._max_lines = max_lines
        self._max_bytes = max_bytes
        self._by_rank: tuple[deque[Line], ...] = (deque(), deque(), deque())
        self._sequence = 0
        self._bytes = 0
        self._is_writing = False
        self._dropped: dict[str, int] = {}
        # Re-entrant: a signal handler logs in the thread that it interrupts.
        self._lock = threading.RLock()

    def put(self, level: int, text: bytes) -> None:
        """Accept a line; the oldest lines of the lowest level go where there is no room."""
        with self._lock:
            self._sequence += 1
            self._bytes += len(text)
            self._by_rank[_rank(level)].append((self._sequence, level, text))
            while self._bytes > self._max_bytes or sum(map(len, self._by_rank)) > self._max_lines:
                self._drop_oldest()

    def take(self) -> tuple[list[Line], dict[str, int]]:
        """The oldest lines, as many as are written in one call, and how many of each level were dropped before.

        The lines count as written at the next call.
        """
        with self._lock:
            lines: list[Line] = []
            size = 0
            while size < PIECE_BYTES and any(self._by_rank):
                lines.append(min((rank for rank in self._by_rank if rank), key=_age_of_first).popleft())
                size += len(lines[-1][2])
            self._bytes -= size
            self._is_writing = bool(lines)
            if not lines:
                return lines, {}
            dropped, self._dropped = self._dropped, {}
            return lines, dropped

    def restore(self, lines: list[Line], dropped: dict[str, int]) -> None:
        """Count lines that the stream did not take, and what was dropped before them, as dropped."""
        with self._lock:
            for name, count in dropped.items():
                self._dropped[name] = self._dropped.get(name, 0) + count
            for _, level, _ in lines:
                self._count(level)

    def all_written(self) -> bool:
        """Whether no line waits and none is being written."""
        with self._lock:
            return not self._is_writing and not any(self._by_rank)

    def _drop_oldest(self) -> None:
        _, level, text = next(rank for rank in self._by_rank if rank).popleft()
        self._bytes -= len(text)
        self._count(level)

    def _count(self, level: int) -> None:
        name = logging.getLevelName(level).lower()
        self._dropped[name] = self._dropped.get(name, 0) + 1


class LogWriter:
    """Writes what `put` accepts to the stream that `stream()` returns, from a daemon thread."""

    def __init__(self, stream: Callable[[], TextIO], dropped_line: Callable[[dict[str, int]], str]) -> None:
        self._stream = stream
        self._dropped_line = dropped_line
        self._lines = BufferedLines()
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._written = threading.Condition()
        threading.Thread(target=self._run, name="awf-log", daemon=True).start()

    def put(self, level: int, line: str) -> None:
        """Have `line` written. Never waits for the stream."""
        self._lines.put(level, line.encode("utf-8", "backslashreplace"))
        if not self._wake.is_set():
            self._wake.set()

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything is written, or `timeout_s` seconds are over; whether all is written."""
        self._hurry.set()
        try:
            with self._written:
                return self._written.wait_for(self._lines.all_written, timeout_s)
        finally:
            self._hurry.clear()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._hurry.wait(LINGER_S)
            self._wake.clear()
            while self._write_piece():
                pass
            with self._written:
                self._written.notify_all()

    def _write_piece(self) -> bool:
        lines, dropped = self._lines.take()
        if not lines:
            return False
        texts = [text for _, _, text in lines]
        try:
            if dropped:
                texts.insert(0, self._dropped_line(dropped).encode())
            write(self._stream(), b"".join(texts))
        except (OSError, ValueError):
            # A closed pipe or a full disk must not stop a worker. What is lost is counted, in case it can be said.
            self._lines.restore(lines, dropped)
        return True


def write(stream: TextIO, text: bytes) -> None:
    """Write and flush all of `text`. To a file's descriptor where the stream has one.

    A thread that blocks in a write of `sys.stderr` holds its lock, and Python aborts a process that ends meanwhile.
    """
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError, AttributeError):
        stream.write(text.decode())
        stream.flush()
        return
    rest = memoryview(text)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            _await_room(descriptor)


def _await_room(descriptor: int) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    with suppress(OSError):
        poll.poll(1000)


def _age_of_first(lines: deque[Line]) -> int:
    return lines[0][0]


def _rank(level: int) -> int:
    return 0 if level < logging.WARNING else 1 if level < logging.ERROR else 2
