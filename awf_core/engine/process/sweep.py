"""Find and kill the processes that carry a step's token, whatever session they are in.

They carry it in their environment, and its number as their limit of realtime CPU, which a cleaned environment keeps.

Called by `run_process.py` after a timeout or cancel, and run as a script by the guardian (`guardian.py`): it imports
three small modules and nothing else, so that the guardian stays small. Without /proc it finds nothing.
"""

from __future__ import annotations

import os
import signal
import time

TOKEN_VARIABLE = "AWF_STEP_TOKEN"  # noqa: S105 - the name of a variable, not a secret
SLOT_BYTES = 64
_MARK = TOKEN_VARIABLE.encode() + b"="
_LIMIT = b"Max realtime timeout"
_MIN_PASSES = 2
_MAX_PASSES = 50


def kill_marked(tokens: tuple[bytes, ...], *, settle_s: float = 0.0) -> int:
    """SIGKILL every process that carries one of `tokens`; returns how many kills were sent.

    Repeats until a pass finds nothing, because a process may fork, or be in the middle of an exec, during one.
    `settle_s` is slept between passes. Processes of other users are left alone.
    """
    killed = 0
    for number in range(_MAX_PASSES if tokens else 0):
        sent = sum(_kill(pid) for pid in _marked(tokens))
        killed += sent
        if not sent and number + 1 >= _MIN_PASSES:
            break
        if settle_s:
            time.sleep(settle_s)
    return killed


def kill_tree(root: int) -> None:
    """SIGKILL the group `root` leads and every process descended from it now, whatever its environment."""
    below = _descendants(root)
    try:  # noqa: SIM105 - contextlib is too heavy for the guardian
        os.killpg(root, signal.SIGKILL)
    except OSError:  # the group is gone
        pass
    for pid in below:
        _kill(pid)


def _descendants(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for pid in _process_ids():
        children.setdefault(_parent(pid), []).append(pid)
    found: list[int] = []
    unseen = [root]
    while unseen:
        below = children.pop(unseen.pop(), [])
        found += below
        unseen += below
    return found


def _parent(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - pathlib is too heavy for the guardian
            return int(file.read().rpartition(b")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return 0


def _process_ids() -> list[int]:
    try:
        names = os.listdir("/proc")  # noqa: PTH208
    except OSError:
        return []
    return [int(name) for name in names if name.isdigit()]


def _kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:  # it has just ended, or belongs to another user
        return False
    return True


def _marked(tokens: tuple[bytes, ...]) -> list[int]:
    own = os.getpid()
    limits = {b"%d" % limit_of(token) for token in tokens}
    return [pid for pid in _process_ids() if pid != own and (_carries(pid, tokens) or _is_limited(pid, limits))]


def limit_of(token: bytes) -> int:
    """The number of `token`, for RLIMIT_RTTIME: in microseconds it is over 100,000 years, so it limits nothing."""
    return 1 << 62 | int.from_bytes(token, "big") % ((1 << 61) - 1)


def is_of_a_step(pid: int) -> bool:
    """Whether some step started this process, a zombie too: it has inherited a number of `limit_of`."""
    number = _limit(pid)
    return number.isdigit() and int(number) >= 1 << 62


def is_marked(pid: int, token: bytes) -> bool:
    """Whether the process carries `token` and has not ended."""
    return _carries(pid, (token,)) or _is_limited(pid, {b"%d" % limit_of(token)})


def _is_limited(pid: int, limits: set[bytes]) -> bool:
    return _limit(pid) in limits and not _has_ended(pid)


def _limit(pid: int) -> bytes:
    """The number a process has inherited; empty where it can't be read."""
    try:
        with open(f"/proc/{pid}/limits", "rb") as file:  # noqa: PTH123
            _, _, values = file.read().partition(_LIMIT)
    except OSError:
        return b""
    return values.split(maxsplit=1)[0] if values else b""


def _has_ended(pid: int) -> bool:
    """Whether a process is a zombie, which keeps its limits until it is waited for, or gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
            return file.read().rpartition(b")")[2].split()[0] in (b"Z", b"X")
    except (OSError, IndexError):
        return True


def _carries(pid: int, tokens: tuple[bytes, ...]) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123
            environment = file.read()
    except OSError:
        return False
    start = environment.find(_MARK)
    if start < 0:
        return False
    value = environment[start : environment.find(b"\0", start)]
    return any(token in value for token in tokens)


def open_tokens(memory: bytes) -> tuple[bytes, ...]:
    """The tokens in `memory`, a row of slots of SLOT_BYTES each; an empty slot begins with a zero byte."""
    slots = (memory[at : at + SLOT_BYTES] for at in range(0, len(memory), SLOT_BYTES))
    return tuple(slot.rstrip(b"\0") for slot in slots if slot[:1] != b"\0")


def guard(pipe: int, memory: int) -> None:
    """The life of the guardian: wait until `pipe` closes, then kill what carries a token left in `memory`."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    os.chdir("/")
    _forget_limit()
    while os.read(pipe, 4096):
        pass
    size = os.fstat(memory).st_size
    kill_marked(open_tokens(os.pread(memory, size, 0)), settle_s=0.1)


def _forget_limit() -> None:
    """Drop the number of a step that started at the same moment: a sweep would take the guardian for a part of it."""
    import resource

    if hasattr(resource, "RLIMIT_RTTIME"):
        _, hard = resource.getrlimit(resource.RLIMIT_RTTIME)
        resource.setrlimit(resource.RLIMIT_RTTIME, (hard, hard))


if __name__ == "__main__":
    guard(0, 3)
