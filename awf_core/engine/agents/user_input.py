"""Where the turns of a user come from in a conversation: lines of a descriptor, or nobody.

Made by the command line for `awf run`; a worker has nobody. Never blocks past a step's allowance.
"""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING, Protocol

from awf_core.engine.wake import Wake

if TYPE_CHECKING:
    from awf_core.engine.allowance import Allowance

_READ_BYTES = 4096


class InputStopped(Exception):
    """The wait for input was stopped; the text is `Allowance.stop_text`."""


class UserInput(Protocol):
    """Gives one line after the other."""

    def read_line(self, allowance: Allowance) -> str:
        """The next line without its end, empty when there is none any more. Raises InputStopped."""


class NoInput:
    """Nobody there: every conversation ends after its first answer."""

    def read_line(self, allowance: Allowance) -> str:  # noqa: ARG002 - the shape of UserInput
        """Nothing."""
        return ""


class LineInput:
    """Lines of a file descriptor, which stays the caller's. One conversation at a time."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._rest = b""
        self._is_over = False

    def read_line(self, allowance: Allowance) -> str:
        """See `UserInput.read_line`."""
        while b"\n" not in self._rest and not self._is_over:
            self._fill(allowance)
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode("utf-8", "surrogateescape").rstrip("\r")

    def _fill(self, allowance: Allowance) -> None:
        _wait(self._descriptor, allowance)
        try:
            data = os.read(self._descriptor, _READ_BYTES)
        except OSError:  # closed by whoever started us: nobody is there
            data = b""
        self._rest += data
        self._is_over = not data


def _wait(descriptor: int, allowance: Allowance) -> None:
    wake = Wake()
    forget = allowance.cancel.on_request(wake.set)
    try:
        left_s = allowance.left_s()
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        poll.register(wake.fd, select.POLLIN)
        ready = poll.poll(None if left_s is None else max(0.0, left_s) * 1000)
        stop_text = allowance.stop_text()
        if stop_text is not None:
            raise InputStopped(stop_text)
        if not ready and left_s is not None:
            raise InputStopped("context deadline exceeded")
    finally:
        forget()
        wake.close()
