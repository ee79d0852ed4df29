"""One `awf worker` process, watched from outside: CPU and memory over time. Used by the sections.

Its log goes to a file in the project. It never outlives the `with` block.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bench import proc
from bench.figure import BenchFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType


POLL_S = 0.02
STOP_WITHIN_S = 15.0
AWF = str(Path(sys.executable).with_name("awf"))
"""The command as installed beside this interpreter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What /proc said of the worker at one moment. `at_s` in epoch seconds, `machine_cpu_s` of all processes."""

    at_s: float
    cpu_s: float
    rss_mb: float
    peak_rss_mb: float
    machine_cpu_s: float


class InFolder(Protocol):
    """Anything with a project's directory."""

    path: Path


class Worker:
    """`awf worker OPTIONS` in `project`."""

    def __init__(self, project: InFolder, *options: str, log_level: str = "info", log_name: str = "worker.log") -> None:
        self._log = project.path / log_name
        self.samples: list[Sample] = []
        with self._log.open("wb") as log:
            self.spawned_at_s = time.time()
            self._process = subprocess.Popen(
                [AWF, "worker", "--log-level", log_level, *options],
                cwd=project.path,
                env=clean_environment(project.path),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Of the worker process."""
        return self._process.pid

    def wait_until_ready(self, *, timeout_s: float = 20.0) -> None:
        """Return when it has said `worker.ready` (so its log level is info). Raises BenchFailed."""
        self._wait(lambda: b"worker.ready" in self._log.read_bytes(), timeout_s, "was not ready")

    def watch_to_end(self, *, timeout_s: float) -> None:
        """Sample until it leaves by itself. Raises BenchFailed when it doesn't, or with another exit code than 0."""

        def has_ended() -> bool:
            self.sample()
            return self._process.poll() is not None

        self._wait(has_ended, timeout_s, "had not ended", must_live=False)
        if self._process.returncode != 0:
            raise BenchFailed(f"the worker ended with exit code {self._process.returncode}:\n{self._tail()}")

    def sample(self) -> None:
        """Remember how it is now."""
        sample = Sample(
            at_s=time.time(),
            cpu_s=proc.cpu_s(self.pid),
            rss_mb=proc.rss_mb(self.pid),
            peak_rss_mb=proc.peak_rss_mb(self.pid),
            machine_cpu_s=proc.machine_cpu_s(),
        )
        if sample.rss_mb:
            self.samples.append(sample)

    def stop(self) -> None:
        """Let it drain; kill it when it doesn't. Idempotent."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _wait(self, is_so: Callable[[], bool], timeout_s: float, complaint: str, *, must_live: bool = True) -> None:
        end = time.monotonic() + timeout_s
        while not is_so():
            if must_live and self._process.poll() is not None:
                raise BenchFailed(f"the worker ended with exit code {self._process.returncode}:\n{self._tail()}")
            if time.monotonic() > end:
                raise BenchFailed(f"the worker {complaint} after {timeout_s:g} s:\n{self._tail()}")
            time.sleep(POLL_S)

    def _tail(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")[-2000:]


def clean_environment(home: Path) -> dict[str, str]:
    """This process's environment without AWF and XDG variables, and with bytecode files, as users start it."""
    dropped = ("AWF_", "XDG_", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return kept | {"HOME": str(home)}


def between(samples: Sequence[Sample], start_s: float, end_s: float, value: Callable[[Sample], float]) -> float:
    """How much `value` grew from `start_s` to `end_s` (epoch seconds), linear between samples."""
    return _at(samples, end_s, value) - _at(samples, start_s, value)


def _at(samples: Sequence[Sample], at_s: float, value: Callable[[Sample], float]) -> float:
    after = bisect_left(samples, at_s, key=lambda sample: sample.at_s)
    if after in (0, len(samples)):
        return value(samples[min(after, len(samples) - 1)])
    left, right = samples[after - 1], samples[after]
    share = (at_s - left.at_s) / (right.at_s - left.at_s)
    return value(left) + share * (value(right) - value(left))
