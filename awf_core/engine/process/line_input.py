"""The user of a conversation as lines of a file descriptor. Made by `awf run` and `awf resume` for their input.

Never blocks past a step's deadline.
"""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING

from awf_core.engine.process.watch import Wake
from awf_core.extensions.agents import InputStopped
from awf_core.extensions.deadline import DEADLINE_TEXT

if TYPE_CHECKING:
    from awf_core.extensions.deadline import Deadline

_READ_BYTES = 4096


class LineInput:
    """Lines of a file descriptor, which stays the caller's. One conversation at a time."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._rest = b""
        self._is_over = False

    def read_line(self, deadline: Deadline) -> str:
        """See `UserInput.read_line`."""
        while b"\n" not in self._rest and not self._is_over:
            self._fill(deadline)
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode("utf-8", "surrogateescape").rstrip("\r")

    def _fill(self, deadline: Deadline) -> None:
        _wait(self._descriptor, deadline)
        try:
            data = os.read(self._descriptor, _READ_BYTES)
        except OSError:  # closed by the process that started this one
            data = b""
        self._rest += data
        self._is_over = not data


def _wait(descriptor: int, deadline: Deadline) -> None:
    wake = Wake()
    unregister = deadline.cancel.on_request(wake.set)
    try:
        left_s = deadline.left_s()
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        poll.register(wake.fd, select.POLLIN)
        ready = poll.poll(None if left_s is None else max(0.0, left_s) * 1000)
        stop_reason = deadline.stop_reason()
        if stop_reason is not None:
            raise InputStopped(stop_reason)
        if not ready and left_s is not None:
            raise InputStopped(DEADLINE_TEXT)
    finally:
        unregister()
        wake.close()
