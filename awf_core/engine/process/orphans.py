"""Reap the orphans of steps where this process is process 1, as a worker in a container is: no other process does it.

`launch.py` and `run_process.py` name the children that are waited for; a thread of the worker reaps what steps left.
Children that plugins start carry no step's number, and are never touched: their exit codes are the plugins'.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

from awf_core.engine.process.sweep import is_of_a_step

CHECK_S = 1.0
"""A zombie seen in two checks is reaped: a step's own process is waited for by then."""

_expected: set[int] = set()


def expect(pid: int) -> None:
    """Leave the child `pid` to the code that started it."""
    _expected.add(pid)


def forget(pid: int) -> None:
    """The child `pid` has been waited for."""
    _expected.discard(pid)


def reap_in_background() -> None:
    """Reap orphans from now on, if this is process 1."""
    if os.getpid() == 1:
        threading.Thread(target=_reap_for_ever, name="awf-orphans", daemon=True).start()


def reap(seen_before: frozenset[int]) -> frozenset[int]:
    """Reap the orphans that were zombies before already; returns those that are zombies now."""
    zombies = frozenset(_zombies()) - _expected
    for pid in zombies & seen_before:
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
    return zombies - seen_before


def _reap_for_ever() -> None:
    zombies: frozenset[int] = frozenset()
    pause = threading.Event()
    while True:
        pause.wait(CHECK_S)
        zombies = reap(zombies)


def _zombies() -> list[int]:
    found = []
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):
            children = (task / "children").read_text().split()
            found += [int(pid) for pid in children if _is_zombie(pid) and is_of_a_step(int(pid))]
    return found


def _is_zombie(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] == b"Z"
    except (OSError, IndexError):
        return False
