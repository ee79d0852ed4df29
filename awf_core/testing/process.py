"""A project directory for tests, and processes in it: `awf worker` and the kit's children, with their JSON logs.

Used by the kit and by plugins' tests. It signals only processes that it started, with their process group.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from awf_core.testing.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

DONE = "kit-done"
FAIL = "kit-fail"
SLOW = "kit-slow"
SHOWN_LINES = 15
END_S = 20.0


class Project:
    """`.awf/` in `directory`, with configurations and workflows.

    A workflow appends a line to a mark file at each run, so that a test can count the runs.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.awf = directory / ".awf"
        (self.awf / "workflows").mkdir(parents=True, exist_ok=True)
        self.marks = directory / "marks"
        self.marks.mkdir(exist_ok=True)
        self.gate = directory / "gate"
        self._add_workflows()

    def workflow(self, name: str, command: str) -> None:
        """Add a workflow of one shell command; `$AWF_MESSAGE_ID` is in its environment."""
        document = {
            "name": name,
            "states": {
                "initial": "work",
                "work": {"type": "step", "command": command, "on_success": "done", "on_failure": "failed"},
                "done": {"type": "terminal"},
                "failed": {"type": "terminal", "status": "failure"},
            },
        }
        (self.awf / "workflows" / f"{name}.yaml").write_text(json.dumps(document))

    def configure(self, name: str, mq: Mapping[str, object]) -> str:
        """Write the configuration file `name`.yaml (JSON is YAML); returns the value for AWF_CONFIG_PATH."""
        path = self.awf / f"{name}.yaml"
        path.write_text(json.dumps({"mq": mq}))
        return str(path)

    def environment(self, config_path: str, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment of a process in this project, without the developer's AWF variables."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("AWF_")}
        return {**own, "AWF_CONFIG_PATH": config_path, **(extra or {})}

    def runs(self, workflow: str) -> list[str]:
        """The message ids of all runs of `workflow`."""
        path = self.marks / workflow
        return path.read_text().splitlines() if path.exists() else []

    def open_gate(self) -> None:
        """Let the runs of the slow workflow end."""
        self.gate.touch()

    def _add_workflows(self) -> None:
        self.workflow(DONE, self._marked(DONE, "true"))
        self.workflow(FAIL, self._marked(FAIL, "false"))
        # It ends after 30 s, so that a failed test leaves no process behind.
        waiting = f"n=0; while [ ! -e '{self.gate}' ] && [ $n -lt 600 ]; do sleep 0.05; n=$((n+1)); done"
        self.workflow(SLOW, self._marked(SLOW, waiting))

    def _marked(self, name: str, command: str) -> str:
        return f"echo \"$AWF_MESSAGE_ID\" >> '{self.marks / name}'; {command}"


class LoggedProcess:
    """A running command. `log` is its stderr so far: JSON lines as mappings, others as `{"event": "", "text": …}`."""

    def __init__(self, command: Sequence[str], *, directory: Path, env: Mapping[str, str]) -> None:
        self.log: list[dict[str, Any]] = []
        self._process = subprocess.Popen(
            list(command),
            cwd=directory,
            env=dict(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name=f"log-{self.pid}", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative = ended by that signal."""
        return self._process.poll()

    def lines(self, event: str, **fields: object) -> list[dict[str, Any]]:
        """The lines of `event` so far that have these fields."""
        return [
            line
            for line in list(self.log)
            if line.get("event") == event and all(line.get(name) == value for name, value in fields.items())
        ]

    def await_line(self, event: str, *, within_s: float = 20.0, count: int = 1, **fields: object) -> dict[str, Any]:
        """The `count`-th such line. Raises AssertionError with the end of the log when it doesn't come."""

        def found() -> list[dict[str, Any]]:
            lines = self.lines(event, **fields)
            if len(lines) < count and self.exit_code is not None and not self._reader.is_alive():
                raise AssertionError(f"ended with {self.exit_code} before {count} x {event}")
            return lines if len(lines) >= count else []

        try:
            return eventually(found, within_s, what=f"{count} x {event} {fields}")[count - 1]
        except AssertionError as error:
            raise AssertionError(f"{error}\nlog: {self.tail()}") from None

    def tail(self) -> str:
        """The end of the log, for a failure's text."""
        return "\n".join(json.dumps(line) for line in self.log[-SHOWN_LINES:])

    def assert_killed(self, within_s: float = END_S) -> None:
        """Wait for its end. Raises AssertionError with the log unless SIGKILL ended it."""
        code = self.end(within_s)
        assert code == -signal.SIGKILL, f"ended with {code}, not by SIGKILL\nlog: {self.tail()}"

    def write_line(self, line: str = "go") -> None:
        """Write a line to its stdin."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; its children don't get it."""
        self._process.send_signal(number)

    def end(self, within_s: float = END_S) -> int:
        """Wait for its end; returns its exit code. Raises AssertionError with the log after `within_s` seconds."""
        try:
            code = self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {within_s} s\nlog: {self.tail()}") from None
        self._reader.join(END_S)
        return code

    def stop(self, within_s: float = END_S) -> int:
        """Stop it with SIGTERM and wait for its end; returns its exit code."""
        self.signal(signal.SIGTERM)
        return self.end(within_s)

    def kill(self) -> None:
        """Kill it and its children. Idempotent."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait(END_S)
        self._reader.join(END_S)
        for stream in (self._process.stdin, self._process.stderr):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()

    def _read(self) -> None:
        assert self._process.stderr is not None
        with suppress(ValueError):  # the stream was closed by `kill`
            for line in self._process.stderr:
                self.log.append(_parsed(line))


def awf_command(*arguments: str) -> tuple[str, ...]:
    """The installed `awf` of this Python, with `arguments`."""
    return (sys.executable, "-c", "from awf_core.cli.main import main; main()", *arguments)


def _parsed(line: str) -> dict[str, Any]:
    with suppress(ValueError):
        read = json.loads(line)
        if isinstance(read, dict):
            return read
    return {"event": "", "text": line}
