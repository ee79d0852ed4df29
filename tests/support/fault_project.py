"""A project for fault tests: workers as real processes, steps that leave a trace, clocks that can be set.

Used by `tests/faults` and by the plugins' fault tests. Every name of the product that these tests depend on (settings,
log events, the kit's process) is here, so that a rename touches this file only.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from awf_core.testing.eventually import eventually
from awf_core.testing.process import LoggedProcess, awf_command

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

QUEUE = "work"
RESULTS = "results"
DEAD = "dead"
UNDELIVERABLE = "undeliverable"
DEFER_UNKNOWN = "defer_unknown"
"""The key under `mq.retry`: how long a message of an unknown workflow is deferred."""

CLAIMED = "message.claimed"
SETTLED = "message.settled"
UNAVAILABLE = "broker.unavailable"
READY = "worker.ready"
LIMIT_S = 60
"""How long a step of a failed test waits for its gate before it ends by itself."""

STEP = """\
say() {{ read -r up rest < /proc/uptime; echo "$1 $AWF_MESSAGE_ID $$ $up" >> '{trace}'; }}
say start
grep "^start $AWF_MESSAGE_ID " '{trace}' | while read -r word id pid up; do
  [ "$pid" = $$ ] || grep -q "^end $id $pid " '{trace}' || ! kill -0 "$pid" 2>/dev/null || say beside
done
{body}
say end
"""
GATED = "n=0; while [ ! -e '{gate}' ] && [ $n -lt {turns} ]; do sleep 0.05; n=$((n+1)); done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One line of a step: start, end, or `beside` (another run of the same message was alive at this start)."""

    word: str
    message_id: str
    pid: int
    at_s: float


class FaultProject:
    """A directory with `.awf/`. `close` ends every worker and every step it started."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.workflows = directory / ".awf" / "workflows"
        self.workflows.mkdir(parents=True)
        self.gate = directory / "gate"
        self._trace = directory / "trace"
        self._trace.touch()
        self.workers: list[LoggedProcess] = []
        self.step("long", self.waiting_for_gate())
        self.step("short", "true")

    def waiting_for_gate(self, name: str = "gate") -> str:
        """Shell text: wait until the file `name` exists."""
        return GATED.format(gate=self.directory / name, turns=LIMIT_S * 20)

    def step(self, name: str, body: str) -> Path:
        """A workflow whose only step writes `start`, runs the shell text `body`, and writes `end`."""
        script = self.directory / f"{name}.sh"
        script.write_text(STEP.format(trace=self._trace, body=body))
        return self.workflow(name, f"exec sh '{script}'")

    def workflow(self, name: str, command: str, **step: object) -> Path:
        """A workflow of one shell command; `step` has more keys of its step."""
        work = {"type": "step", "command": command, "on_success": "done", "on_failure": "failed", **step}
        states = {"initial": "work", "work": work, "done": {"type": "terminal"}}
        states["failed"] = {"type": "terminal", "status": "failure"}
        path = self.workflows / f"{name}.yaml"
        path.write_text(json.dumps({"name": name, "states": states}))
        return path

    def nothing(self, name: str) -> None:
        """A workflow without a step."""
        states = {"initial": "done", "done": {"type": "terminal"}}
        (self.workflows / f"{name}.yaml").write_text(json.dumps({"name": name, "states": states}))

    def configure(self, name: str = "config", **mq: object) -> str:
        """Write a configuration with these keys under `mq:`; returns the value of AWF_CONFIG_PATH."""
        path = self.directory / ".awf" / f"{name}.yaml"
        standard = {"dead_letter": {"queue": DEAD}, "undeliverable": {"queue": UNDELIVERABLE}}
        path.write_text(json.dumps({"mq": {**standard, **mq}}))
        return str(path)

    def environment(self, config: str, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """A process's environment in this project: none of the developer's own settings."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("AWF_")}
        return {**own, "AWF_CONFIG_PATH": config, **(extra or {})}

    def command(self, *options: str) -> tuple[str, ...]:
        """`awf worker` on the queue `work` unless `options` name others."""
        queues = () if "--queue" in options else ("--queue", QUEUE)
        return awf_command("worker", "--log-format", "json", *queues, *options)

    def worker(
        self, config: str, *options: str, env: Mapping[str, str] | None = None, is_awaited: bool = True
    ) -> LoggedProcess:
        """Start a worker; it has asked its broker once unless not awaited."""
        self.workers.append(
            LoggedProcess(self.command(*options), directory=self.directory, env=self.environment(config, env))
        )
        if is_awaited:
            self.workers[-1].await_line(READY)
        return self.workers[-1]

    def lines(self, word: str, message_id: str | None = None) -> list[Trace]:
        """What the steps wrote so far, in the order in which they did."""
        read = (line.split() for line in self._trace.read_text().splitlines())
        found = [Trace(word=each[0], message_id=each[1], pid=int(each[2]), at_s=float(each[3])) for each in read]
        return [line for line in found if line.word == word and message_id in (None, line.message_id)]

    def starts(self, message_id: str | None = None) -> int:
        """How many runs were started, of one message or of all."""
        return len(self.lines("start", message_id))

    def await_starts(self, count: int, message_id: str | None = None, *, within_s: float = 15.0) -> None:
        """Wait until so many runs were started."""
        what = f"{count} starts of {message_id or 'any message'}"
        eventually(lambda: self.starts(message_id) >= count, within_s, what=what)

    def is_running(self, run: Trace) -> bool:
        """Whether the process of a run is there and no zombie."""
        return is_alive(run.pid)

    def await_with_one_run_of(self, message_id: str, condition: Callable[[], object], what: str) -> None:
        """Wait for `condition`; fails at once when a second run of the message was started meanwhile."""
        eventually(lambda: condition() or self.starts(message_id) > 1, 15, what=what)
        self.assert_ran_once(message_id)

    def assert_ran_once(self, *message_ids: str) -> None:
        """Each message was started exactly once."""
        counts = {message_id: self.starts(message_id) for message_id in message_ids}
        assert counts == dict.fromkeys(message_ids, 1), f"starts per message, each should be 1: {counts}"

    def open_gate(self, name: str = "gate") -> None:
        """Let the steps that wait for the file `name` end."""
        (self.directory / name).touch()

    def close(self) -> None:
        """End the workers and what is left of their steps."""
        self.open_gate()
        for worker in self.workers:
            worker.kill()
        ended = {line.pid for line in self.lines("end")}
        for run in self.lines("start"):
            if run.pid not in ended and "sh" in _command_of(run.pid) and str(self.directory) in _command_of(run.pid):
                with suppress(ProcessLookupError):
                    os.kill(run.pid, signal.SIGKILL)


def message(message_id: str, workflow: str = "long", **more: object) -> str:
    """The body of a message that wants its result in `results`."""
    return json.dumps({"id": message_id, "workflow": workflow, "reply_to": RESULTS, **more})


def pass_time(seconds: float) -> None:
    """Wait until `seconds` of real time are over: a lease, or a delay, runs out by nothing else."""
    end = time.monotonic() + seconds
    eventually(lambda: time.monotonic() >= end, seconds + 10)


def is_alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def is_signal_pending(pid: int, number: signal.Signals) -> bool:
    """Whether a signal was sent to a process and not yet taken by it: the kernel keeps one of a kind."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    sets = [int(line.split()[1], 16) for line in lines if line.startswith(("SigPnd", "ShdPnd"))]
    return any(pending & 1 << (number - 1) for pending in sets)


def status_kb(pid: int, key: str) -> int:
    """A figure of /proc/PID/status in KiB, e.g. VmHWM (peak resident memory)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1])
    raise AssertionError(f"no {key} of process {pid}")


def limit_memory(pid: int, *, room_mb: int) -> None:
    """Let a process have no more than `room_mb` above what it has of address space now."""
    limit = (status_kb(pid, "VmSize") + room_mb * 1024) * 1024
    resource.prlimit(pid, resource.RLIMIT_AS, (limit, limit))


def warnings_of(worker: LoggedProcess, holds: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    """The lines at level warning or above for which `holds` is true."""
    return [line for line in list(worker.log) if line.get("level") in ("warning", "error") and holds(line)]


def _command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
