"""A server process for tests: it starts on a free port, answers its protocol, and ends with all its children.

Base class of the private brokers. It signals only processes that it started.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

LOCAL = "127.0.0.1"
POLL_S = 0.02
STOP_S = 10.0
LOG_TAIL_BYTES = 4000


class ServerFailed(AssertionError):
    """A private server ended early or didn't answer. The text has the end of its log."""


def free_port() -> int:
    """A free TCP port. Another process may take it before you use it: be ready to ask again."""
    with socket.socket() as probe:
        probe.bind((LOCAL, 0))
        return int(probe.getsockname()[1])


class ServerProcess(ABC):
    """One server with its data in `directory`. Port and data survive `kill` and `start`, so clients find it again.

    Not thread-safe. `port=None` takes a free port, and another one when a process took it first.
    """

    start_s: ClassVar[float] = 10.0

    def __init__(self, directory: Path, *, port: int | None = None) -> None:
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self._has_fixed_port = port is not None
        self.port = port or free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    @abstractmethod
    def url(self) -> str:
        """The address for clients."""

    @abstractmethod
    def command(self) -> Sequence[str]:
        """The command to run, on `self.port`."""

    @abstractmethod
    def is_answering(self) -> bool:
        """Whether it answers its protocol now. May raise OSError."""

    def environment(self) -> Mapping[str, str]:
        """The server's environment."""
        return os.environ

    @property
    def log_file(self) -> Path:
        """The server's stdout and stderr since the first start."""
        return self.directory / "server.log"

    @property
    def is_running(self) -> bool:
        """Whether the process runs, answering or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The server's process id. Raises ServerFailed when it isn't running."""
        if self._process is None or not self.is_running:
            raise ServerFailed(f"{type(self).__name__} on port {self.port} is not running")
        return self._process.pid

    def start(self) -> Self:
        """Start it and wait until it answers. Raises ServerFailed with the end of its log."""
        for attempt in range(3):
            try:
                self._start_once()
            except ServerFailed:
                self.kill()
                if self._has_fixed_port or attempt == 2:
                    raise
                self.port = free_port()
            else:
                break
        self._has_fixed_port = True
        return self

    def stop(self) -> None:
        """Stop it with SIGTERM, and kill it after 10 s. Idempotent."""
        if self.is_running:
            self.resume()
            self._signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._wait(STOP_S)
        self.kill()

    def kill(self) -> None:
        """Kill it and its children (SIGKILL). Idempotent."""
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._wait(STOP_S)
            self._process = None

    def restart(self, *, is_hard: bool = True) -> None:
        """Kill (or, `is_hard=False`, stop) and start again: same port, same data."""
        if is_hard:
            self.kill()
        else:
            self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze it (SIGSTOP): connections stay open and silent."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it continue (SIGCONT)."""
        self._signal(signal.SIGCONT)

    def log_tail(self) -> str:
        """The end of its log."""
        if not self.log_file.exists():
            return ""
        return self.log_file.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")

    def _start_once(self) -> None:
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                list(self.command()),
                cwd=self.directory,
                env=dict(self.environment()),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # A process group of its own: a Ctrl-C in the terminal must not end the server before the tests.
                start_new_session=True,
            )
        self._await_answer()

    def _await_answer(self) -> None:
        deadline = time.monotonic() + self.start_s
        while True:
            if not self.is_running:
                raise ServerFailed(f"{self.command()[0]} ended at start; its log:\n{self.log_tail()}")
            with suppress(OSError):
                if self.is_answering():
                    return
            if time.monotonic() > deadline:
                raise ServerFailed(f"{self.command()[0]}: no answer in {self.start_s} s; its log:\n{self.log_tail()}")
            time.sleep(POLL_S)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def _wait(self, timeout_s: float) -> None:
        if self._process is not None:
            self._process.wait(timeout_s)
