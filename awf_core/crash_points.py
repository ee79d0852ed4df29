"""Named moments at which a test can make this process die (SIGKILL). Passed by the worker and, if they like, backends.

Armed by the environment: with `AWF_CRASH_AT=settle.acked` the process dies the first time it reaches that moment, with
`settle.acked:3` the third time. Unarmed, which is always but in tests, a crash point is one comparison. Never raises.
"""

from __future__ import annotations

import os
import signal
import threading
from typing import Final

VARIABLE: Final = "AWF_CRASH_AT"

CRASH_POINTS: Final[dict[str, str]] = {
    "pipeline.claimed": "a delivery is in hand; nothing of it has been read",
    "pipeline.ran": "its workflow has run; what becomes of it is not decided",
    "pipeline.decided": "how it is to end is decided, and not yet submitted to the settler",
    "settle.before_ack": "acks are about to go to the backend",
    "settle.acked": "the backend has taken acks, the worker has not noted it",
    "settle.before_nack": "nacks are about to go to the backend",
    "settle.nacked": "the backend has taken nacks, the worker has not noted it",
    "settle.before_dead_letter": "dead-lettered messages are about to go to the backend",
    "settle.dead_lettered": "the backend has taken dead-lettered messages, the worker has not noted it",
    "settle.before_redirect": "an undeliverable result is about to go to the undeliverable queue",
    "settle.redirected": "that result is in the undeliverable queue, its delivery is not settled",
    "settle.reported": "a settlement is logged and observers were notified",
}
"""The worker's own crash points, in the order a message meets them. A backend names its own `<type>.<moment>`."""


class _Armed:
    """The one point this process dies at, and after how many visits."""

    def __init__(self, name: str, visits: int) -> None:
        self.name = name
        self._left = visits
        self._lock = threading.Lock()

    def visit(self, name: str) -> None:
        if name != self.name:
            return
        with self._lock:
            self._left -= 1
            if self._left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)


def _from_environment() -> _Armed | None:
    name, _, visits = os.environ.get(VARIABLE, "").partition(":")
    return _Armed(name, int(visits) if visits.isdecimal() else 1) if name else None


_armed: Final = _from_environment()


def crash_point(name: str) -> None:
    """Die here if the environment says so. Thread-safe."""
    if _armed is not None:
        _armed.visit(name)
