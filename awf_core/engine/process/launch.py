"""Start one process, marked so that it and all it starts can be found again.

Called by `run_process.py` only. No shell of its own, no pre-exec code: the child is made by vfork, safe among threads.
"""

from __future__ import annotations

import errno
import itertools
import os
import resource
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from awf_core.engine.process import orphans
from awf_core.engine.process.sweep import TOKEN_VARIABLE, limit_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_TOKEN_KEY = TOKEN_VARIABLE.encode()
_BUSY_ATTEMPTS = 20
_RTTIME: int | None = getattr(resource, "RLIMIT_RTTIME", None)
_limiting = threading.Lock()
_counter = itertools.count(1)
_nonce = os.urandom(6).hex().encode()


class StartFailed(Exception):
    """The operating system refused to start the process; the text names the program and why.

    `is_unpassable`: because of what the process was to be given: too much of it, or a NUL in it.
    """

    def __init__(self, text: str, *, is_unpassable: bool) -> None:
        super().__init__(text)
        self.is_unpassable = is_unpassable


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A running process, leader of its own group, and its pipes' reading ends, which the receiver closes."""

    popen: subprocess.Popen[bytes]
    out_fd: int
    err_fd: int


def new_token() -> bytes:
    """A text no other step on this machine carries."""
    return b"%x-%x-%s" % (os.getpid(), next(_counter), _nonce)


def with_token(env: Mapping[bytes, bytes], token: bytes) -> dict[bytes, bytes]:
    """`env` with `token` in it.

    Inside another run's step the outer token stays: stopping that finds this one too.
    """
    marked = dict(env)
    outer = marked.get(_TOKEN_KEY)
    marked[_TOKEN_KEY] = outer + b"," + token if outer else token
    return marked


def start(argv: Sequence[str], *, env: Mapping[bytes, bytes], cwd: str | None, token: bytes) -> Started:
    """Start `argv` in a session of its own with empty standard input, numbered as `token`. Raises StartFailed."""
    descriptors: list[int] = []
    try:
        descriptors += os.pipe()
        descriptors += os.pipe()
        out_fd, out_write, err_fd, err_write = descriptors
        with _numbered(limit_of(token)):
            popen = _popen(argv, env=env, cwd=cwd, out_write=out_write, err_write=err_write)
        orphans.expect(popen.pid)
    except (OSError, ValueError) as problem:
        for descriptor in descriptors:
            os.close(descriptor)
        text = f"fork/exec {argv[0]}: {_reason(problem)}"
        raise StartFailed(text, is_unpassable=_is_unpassable(problem)) from problem
    os.close(out_write)
    os.close(err_write)
    return Started(popen=popen, out_fd=out_fd, err_fd=err_fd)


@contextmanager
def _numbered(number: int) -> Iterator[None]:
    """Children started inside inherit `number` as a limit that limits nothing, and so do theirs.

    Where the system has no such limit, or sets one of its own, they inherit that.
    """
    if _RTTIME is None:
        yield
        return
    with _limiting:
        before = resource.getrlimit(_RTTIME)
        if before != (resource.RLIM_INFINITY, resource.RLIM_INFINITY):
            yield
            return
        resource.setrlimit(_RTTIME, (number, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(_RTTIME, before)


@contextmanager
def unnumbered() -> Iterator[None]:
    """Children started inside are no part of a step that is being started at the same moment."""
    with _limiting:
        yield


def _popen(
    argv: Sequence[str], *, env: Mapping[bytes, bytes], cwd: str | None, out_write: int, err_write: int
) -> subprocess.Popen[bytes]:
    attempt = 1
    while True:
        try:
            return subprocess.Popen(
                argv,
                env=env,
                cwd=cwd,
                stdin=_empty_input(),
                stdout=out_write,
                stderr=err_write,
                start_new_session=True,
            )
        except OSError as problem:
            # A script just written may, for an instant, still be open for writing in another new child.
            if problem.errno != errno.ETXTBSY or attempt == _BUSY_ATTEMPTS:
                raise
            attempt += 1


def _is_unpassable(problem: OSError | ValueError) -> bool:
    # A ValueError means a zero byte in an argument, in the environment or in the directory.
    return not isinstance(problem, OSError) or problem.errno in (errno.E2BIG, errno.ENAMETOOLONG)


def _reason(problem: OSError | ValueError) -> str:
    if not isinstance(problem, OSError):  # a zero byte in an argument or in the environment
        return "invalid argument"
    return os.strerror(problem.errno).lower() if problem.errno else str(problem)


_empty: tuple[int, int] | None = None


def _empty_input() -> int:
    """One descriptor of /dev/null for all children of this process, opened once."""
    global _empty  # noqa: PLW0603 - a cache of a descriptor that every child may share
    if _empty is None or _empty[0] != os.getpid():
        _empty = (os.getpid(), os.open(os.devnull, os.O_RDONLY))
    return _empty[1]
