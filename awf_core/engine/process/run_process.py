"""Run one process to its end: its whole output, a time limit, and a way to stop it with all it started.

Called by command steps, hooks and programs, on the thread that waits for the result; starts no thread of its own. It
never interprets a text as a command: callers pass an argument list.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from awf_core.engine.process import orphans
from awf_core.engine.process.captured import UNLIMITED, OutputLimit
from awf_core.engine.process.guardian import guardian
from awf_core.engine.process.launch import Started, StartFailed, new_token, start, with_token
from awf_core.engine.process.sweep import kill_marked, kill_tree
from awf_core.engine.process.watch import Watch
from awf_core.extensions.deadline import CANCELLED_TEXT, DEADLINE_TEXT, Cancel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from awf_core.extensions.outward import OnOutput

_DEATH_S = 5.0
"""How long a killed process is waited for; one that hangs in the kernel may take longer."""

End = Literal["exited", "timeout", "cancelled", "pipes_held", "not_started"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How a process ended.

    exit_code   0-255; -1 after a signal or when it was stopped; 0 when it did not start or its pipes stayed open
    ..._cut_bytes   how many bytes were left out where a limit was given; a line in the output says so too
    is_unpassable   it did not start because of its arguments or environment: too large, or with a NUL in them
    problem     why it did not start (`fork/exec /bin/sh: no such file or directory`), else empty
    """

    end: End
    exit_code: int = 0
    stdout: bytes = b""
    stderr: bytes = b""
    stdout_cut_bytes: int = 0
    stderr_cut_bytes: int = 0
    problem: str = ""
    is_unpassable: bool = False

    @property
    def cut_bytes(self) -> int:
        """How many bytes were left out of both outputs."""
        return self.stdout_cut_bytes + self.stderr_cut_bytes

    @property
    def failure(self) -> str | None:
        """Why there is no exit code to go by, in the words of the workflow language.

        None when there is one.
        """
        match self.end:
            case "exited":
                return None
            case "timeout":
                return f"command execution: {DEADLINE_TEXT}"
            case "cancelled":
                return f"command execution: {CANCELLED_TEXT}"
            case "pipes_held":
                return "command execution: exec: WaitDelay expired before I/O complete"
            case "not_started":
                return f"command execution: {self.problem}"


def run_process(
    argv: Sequence[str],
    *,
    env: Mapping[bytes, bytes],
    cwd: str | None,
    timeout_s: float | None,
    cancel: Cancel,
    on_output: OnOutput | None = None,
    output_limit: OutputLimit = UNLIMITED,
) -> Finished:
    """Run `argv` in a session of its own with empty standard input, and wait for it.

    `timeout_s` None = no limit. `cwd` None = this process's. `on_output` gets ("stdout" | "stderr", bytes) as
    they come, all of them; `output_limit` bounds what is kept. On timeout or cancel the process group and every
    process that carries this run's token are killed at once. Raises nothing for what the process does. Thread-safe.
    """
    if cancel.requested:
        return Finished(end="cancelled", exit_code=-1)
    if timeout_s is not None and timeout_s <= 0:
        return Finished(end="timeout", exit_code=-1)
    token = new_token()
    guard = guardian()
    slot = guard.open(token)
    try:
        started = start(argv, env=with_token(env, token), cwd=cwd, token=token)
        return _finish(started, token, timeout_s, cancel, on_output, output_limit)
    except StartFailed as problem:
        return Finished(end="not_started", problem=str(problem), is_unpassable=problem.is_unpassable)
    finally:
        guard.close(slot)


def _finish(
    started: Started,
    token: bytes,
    timeout_s: float | None,
    cancel: Cancel,
    on_output: OnOutput | None,
    output_limit: OutputLimit,
) -> Finished:
    watch = Watch(started, on_output, output_limit)
    popen = started.popen
    ends_at = None if timeout_s is None else time.monotonic() + timeout_s
    try:
        end: End = watch.until_exit(ends_at, cancel)
        if end != "exited":
            _kill(popen, token)
            watch.until_exit(time.monotonic() + _DEATH_S, Cancel())
        if not watch.until_closed() and end == "exited":
            end = "pipes_held"
        with contextlib.suppress(subprocess.TimeoutExpired):
            popen.wait(_DEATH_S)
    except BaseException:
        # `on_output` raised, or this process was asked to end: the started processes must not stay behind.
        _kill(popen, token)
        popen.wait(_DEATH_S)
        raise
    finally:
        watch.close()
        orphans.forget(popen.pid)
        orphans.end_step(token)
    stdout, stdout_cut_bytes = watch.output("stdout")
    stderr, stderr_cut_bytes = watch.output("stderr")
    return Finished(
        end=end,
        exit_code=_exit_code(end, popen.returncode),
        stdout=stdout,
        stderr=stderr,
        stdout_cut_bytes=stdout_cut_bytes,
        stderr_cut_bytes=stderr_cut_bytes,
    )


def _kill(popen: subprocess.Popen[bytes], token: bytes) -> None:
    # While it has not been waited for, its number, and with it its group, can't belong to another process.
    if popen.returncode is None:
        kill_tree(popen.pid)
    kill_marked((token,))


def _exit_code(end: End, returncode: int | None) -> int:
    if end == "pipes_held":
        return 0
    return max(-1, returncode) if end == "exited" and returncode is not None else -1
