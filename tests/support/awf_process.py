"""The installed `awf` command as a process: run to its end, or started and followed line by line of its log."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eventually import eventually

AWF = str(Path(sys.executable).parent / "awf")
MARK = "TEST_PROJECT"


def environment(directory: Path, extra: dict[str, str] | None = None) -> dict[str, str]:
    """The environment of a process of this project; `MARK` is inherited by everything it starts, steps too."""
    return {**os.environ, MARK: str(directory), "AWF_MQ_ENV_PASS": f"[{MARK}]", **(extra or {})}


def awf(directory: Path, *arguments: str, env: dict[str, str] | None = None, stdin: str = "", timeout_s: float = 30):
    """Run a command to its end."""
    return subprocess.run(
        [AWF, *arguments],
        cwd=directory,
        env=environment(directory, env),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )


def processes_of(directory: Path) -> list[int]:
    """What runs with this project's mark in its environment, zombies left out."""
    mark = f"{MARK}={directory}\0".encode()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return [pid for pid in found if pid != os.getpid()]


def kill_all(directory: Path) -> None:
    """End everything that carries the project's mark."""
    for pid in processes_of(directory):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


@dataclass
class WorkerProcess:
    """A worker; its stderr is read as it comes, JSON lines parsed, others kept as `{"text": ...}`."""

    process: subprocess.Popen[str]
    log: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            try:
                self.log.append(json.loads(line))
            except ValueError:
                self.log.append({"event": "", "text": line})

    @property
    def pid(self) -> int:
        return self.process.pid

    def lines(self, event: str, **fields: object) -> list[dict[str, Any]]:
        """The lines of `event` so far whose fields are these."""
        return [
            line
            for line in list(self.log)
            if line["event"] == event and all(line.get(name) == value for name, value in fields.items())
        ]

    def await_line(self, event: str, *, within_s: float = 15.0, count: int = 1, **fields: object) -> dict[str, Any]:
        """The `count`-th line of `event` with these fields."""

        def found() -> list[dict[str, Any]]:
            lines = self.lines(event, **fields)
            if len(lines) < count and self.process.poll() is not None and not self._reader.is_alive():
                raise AssertionError(f"worker ended with {self.process.returncode} before {event}: {self.log[-5:]}")
            return lines if len(lines) >= count else []

        try:
            return eventually(found, within_s, what=f"{count} x {event} {fields}")[count - 1]
        except AssertionError as error:
            raise AssertionError(f"{error}\nlog: {self.log[-10:]}") from None

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self, within_s: float = 15.0) -> int:
        """The exit code, once it has ended and its log is read whole."""
        code = self.process.wait(within_s)
        self._reader.join(5)
        return code

    def stop(self, within_s: float = 15.0) -> int:
        """Ask it to drain, and wait."""
        self.signal(signal.SIGTERM)
        return self.end(within_s)

    def kill(self) -> None:
        """End it the hard way, also when it is stopped. Idempotent."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        self._reader.join(5)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


def start_worker(directory: Path, *arguments: str, env: dict[str, str] | None = None) -> WorkerProcess:
    """`awf worker` with these arguments; its log is JSON, since stderr is no terminal."""
    process = subprocess.Popen(
        [AWF, "worker", *arguments],
        cwd=directory,
        env=environment(directory, env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    return WorkerProcess(process)
