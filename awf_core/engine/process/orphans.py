"""What steps leave behind: killed when their step ends, and reaped where this process is their parent.

A worker becomes the parent of what its steps leave (`adopt`), so that the end of a step costs a check of its own
children and no search through all processes. `launch.py` and `run_process.py` name the children that are waited for; a
thread of the worker reaps the others. Children that plugins start carry no step's number, and are never touched: their
exit codes are the plugins'.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path

from awf_core.engine.process.sweep import is_marked, is_of_a_step, kill_marked, kill_tree

CHECK_S = 1.0
"""A zombie seen in two checks is reaped: a step's own process is waited for by then."""
_PR_SET_CHILD_SUBREAPER = 36
_TASKS = Path("/proc/self/task")

_expected: set[int] = set()
_adopted_by: int | None = None


def expect(pid: int) -> None:
    """Leave the child `pid` to the code that started it."""
    _expected.add(pid)


def forget(pid: int) -> None:
    """The child `pid` has been waited for."""
    _expected.discard(pid)


def adopt() -> None:
    """From now on kill what a step of this process has left when it ends. Linux only; elsewhere it does nothing."""
    global _adopted_by  # noqa: PLW0603 - being the parent of orphans is a property of the process
    if sys.platform != "linux" or not Path(f"/proc/self/task/{os.getpid()}/children").exists():
        return
    if ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0:
        _adopted_by = os.getpid()


def end_step(token: bytes) -> None:
    """Kill what the step with `token`, whose own process has ended, has left, if this process has adopted it."""
    if _adopted_by != os.getpid():
        return
    # An orphan was given to this process before its parent could be waited for, and what it started is below it.
    left = [pid for pid in _children() if pid not in _expected and is_marked(pid, token)]
    for pid in left:
        kill_tree(pid)
    if left:
        kill_marked((token,))


def reap_in_background() -> None:
    """Reap orphans from now on, if they become children of this process."""
    if os.getpid() in (1, _adopted_by):
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


def _children() -> list[int]:
    """The children of this process, which the system lists by thread."""
    found: list[int] = []
    for task in _TASKS.iterdir():
        with suppress(OSError):
            found += map(int, (task / "children").read_text().split())
    return found


def _zombies() -> list[int]:
    return [pid for pid in _children() if _is_zombie(str(pid)) and is_of_a_step(pid)]


def _is_zombie(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] == b"Z"
    except (OSError, IndexError):
        return False
