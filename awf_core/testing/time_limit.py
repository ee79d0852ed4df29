"""A limit for the time of a case: one that hangs fails, and names the hooks that did not return.

Used by `pytest_plugin.py` around each case. Works in the main thread of a process, where tests run; elsewhere there is
no limit.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Container, Iterator
    from types import FrameType

HOOK_PREFIX = "awf_mq_"


@contextmanager
def time_limit(limit_s: float, what: str) -> Iterator[None]:
    """Fail the test with `what` and the hooks under way when the block takes longer than `limit_s` seconds."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    # A case before may have left a thread in a hook that never returns.
    left = frozenset(_hooks_by_thread())

    def ring(*_: object) -> None:
        pytest.fail(f"{what}: no end after {limit_s:g} s; {_under_way(left)}", pytrace=False)

    began_s = time.monotonic()
    other_s, _ = signal.getitimer(signal.ITIMER_REAL)
    if 0 < other_s < limit_s:
        # Another plugin's limit ends the test before this one.
        yield
        return
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if other_s:
            signal.setitimer(signal.ITIMER_REAL, max(0.001, other_s - (time.monotonic() - began_s)))


def hooks_under_way(left: Container[int] = ()) -> list[str]:
    """The backend hooks that threads of this process are in: `awf_mq_publish of awf_mq_acme.backend`.

    Not those of the threads with an identifier in `left`.
    """
    hooks = [hook for thread, names in _hooks_by_thread().items() if thread not in left for hook in names]
    return list(dict.fromkeys(hooks))


def _hooks_by_thread() -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for thread, top in sys._current_frames().items():  # noqa: SLF001 - there is no public way to another thread's frame
        frame: FrameType | None = top
        while frame is not None:
            name = frame.f_code.co_name
            if name.startswith(HOOK_PREFIX):
                found.setdefault(thread, []).append(f"{name} of {frame.f_globals.get('__name__', '?')}")
            frame = frame.f_back
    return found


def _under_way(left: Container[int]) -> str:
    hooks = hooks_under_way(left)
    return f"did not return: {', '.join(hooks)}" if hooks else "no hook of the backend is under way"
