"""Worker processes that are killed at random and replaced at once. Used by the rounds of chaos,
one for each broker."""

from __future__ import annotations

import argparse
import signal
import subprocess
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from awf_core.testing.process import awf_command

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable, Mapping

    from awf_core.testing.process import Project

CONCURRENCY = 4
POLL_S = 0.02
BACK_WITHIN_S = 5.0
SETTLE_S = 2.0
"""How long after the end of a run its acknowledgement may still be under way, on a machine that is busy dying."""


class Report(Protocol):
    """The counts of a round, a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def is_good(self) -> bool:
        """Whether every promise held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerKill:
    """The killed worker's name, and the time in epoch seconds."""

    worker: str
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Who made it, and from when to when, in epoch seconds."""

    worker: str
    started_s: float
    finished_s: float


def result_of(body: Mapping[str, Any]) -> Result:
    """From a result as it stands in the reply queue. Pure."""
    started, finished = (datetime.fromisoformat(body[name]).timestamp() for name in ("started_at", "finished_at"))
    return Result(worker=body["worker"], started_s=started, finished_s=finished)


def was_killed_while_settling(first: Result, second: Result, kills: Iterable[WorkerKill]) -> bool:
    """Whether the worker of `first` died between its result and the ack, and `second` was started for that. Pure."""
    return any(
        kill.worker == first.worker
        and first.finished_s - POLL_S <= kill.at_s <= first.finished_s + SETTLE_S
        and second.started_s >= kill.at_s - POLL_S
        for kill in kills
    )


class Crew:
    """`size` workers of one project, each with a new name."""

    def __init__(
        self,
        project: Project,
        config: str,
        log: Path,
        *,
        size: int,
        dice: random.Random,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._project = project
        self._config = config
        self._log = log
        self._size = size
        self._dice = dice
        self._environment = environment
        self._started = 0
        self._workers: list[tuple[str, subprocess.Popen[bytes]]] = []
        self.kills: list[WorkerKill] = []

    def start(self) -> None:
        """Start `size` workers."""
        self._workers = [self._worker() for _ in range(self._size)]

    def kill_one(self) -> None:
        """Send SIGKILL to one worker at random, and start another."""
        victim = self._dice.randrange(len(self._workers))
        name, process = self._workers[victim]
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.kills.append(WorkerKill(worker=name, at_s=time.time()))
        self._workers[victim] = self._worker()

    def end(self) -> None:
        """Kill all workers."""
        for _, process in self._workers:
            process.kill()
            process.wait()

    def _worker(self) -> tuple[str, subprocess.Popen[bytes]]:
        self._started += 1
        name = f"chaos-{self._started}"
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                awf_command("worker", "--log-level", "warning", "--name", name),
                cwd=self._project.directory,
                env=self._project.environment(self._config, self._environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return name, process


def moments(messages: int, kills: int, server_kills: int, dice: random.Random) -> list[tuple[int, bool]]:
    """(after how many results, whether it is the server) of each kill, spread over nine tenths of the messages."""
    workers = [(round(messages * 0.9 * dice.random()), False) for _ in range(kills)]
    servers = [(messages * (number + 1) // (server_kills + 1), True) for number in range(server_kills)]
    return sorted(workers + servers)


def parser(description: str) -> argparse.ArgumentParser:
    """The options that every round has."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--messages", type=int, default=6000)
    made.add_argument("--workers", type=int, default=4)
    made.add_argument("--kills", type=int, default=40, help="of workers")
    made.add_argument("--server-kills", type=int, default=2)
    made.add_argument("--seed", type=int, default=1)
    made.add_argument("--limit", type=float, default=600.0, help="seconds after which the round ends")
    return made


def play(run: Callable[..., Report], options: argparse.Namespace, **more: Any) -> int:
    """One round in a temporary directory; prints the counts. Returns 1 when a promise was broken, else 0."""
    with tempfile.TemporaryDirectory(prefix="awf-chaos-", ignore_cleanup_errors=True) as directory:
        report = run(
            Path(directory),
            messages=options.messages,
            workers=options.workers,
            kills=options.kills,
            server_kills=options.server_kills,
            seed=options.seed,
            limit_s=options.limit,
            **more,
        )
    for name, value in asdict(report).items():
        print(f"{name:20} {value}")
    return 0 if report.is_good else 1
