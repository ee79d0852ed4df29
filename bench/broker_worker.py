"""No-op messages a second on a broker through one worker and two, and the way from submit to result. Used by
`redis_worker.py` and `rabbitmq_worker.py`.

Where `AWF_BENCH_PEERS` names a folder, its workers on the same broker run in the same rounds, so that a busy neighbour
meets all alike.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bench import peers
from bench.figure import BenchFailed, Figure
from bench.latency import percentiles, warm_up
from bench.worker import Worker, between

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from awf_core.client import Client
    from bench.plan import Plan
    from bench.worker import Sample

AIM_CPU_S_PER_1K = 0.1
AIM_RSS_MB = 60.0
TIMEOUT_S = 180.0
POLL_S = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """How many worker processes, with how many runs at once each."""

    workers: int
    concurrency: int
    log_level: str = "warning"

    @property
    def label(self) -> str:
        """As it stands in the table."""
        many = "one worker" if self.workers == 1 else f"{self.workers} workers"
        return f"{many}, concurrency {self.concurrency}, log {self.log_level}"


SETUPS = (
    Setup(workers=1, concurrency=8),
    Setup(workers=1, concurrency=32),
    Setup(workers=1, concurrency=8, log_level="info"),
    Setup(workers=2, concurrency=8),
    Setup(workers=2, concurrency=32),
)


class QueueProject(Protocol):
    """A throw-away project with a broker of its own, for the `with` block."""

    path: Path

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def client(self) -> Client:
        """A producer of this project's."""

    def fill(self, count: int) -> None:
        """Put `count` no-op messages into the queue."""

    def results(self) -> int:
        """How many results there are."""

    def check_all_completed(self, count: int) -> None:
        """Raise BenchFailed unless there are `count` results of as many messages, and nothing is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """A broker, where its projects come from, and its peers by number of worker processes."""

    broker: str
    make_project: Callable[[Path], QueueProject]
    peers: Mapping[int, Sequence[str]]
    aim_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """What one run gave; CPU of all workers together, memory of the largest."""

    per_s: float
    cpu_s_per_1k: float
    peak_rss_mb: float


def measure(plan: Plan, contest: Contest) -> list[Figure]:
    """Every setup, and the peers where there are some, in interleaved rounds; then the latency."""
    runs: dict[Setup, list[Throughput]] = {setup: [] for setup in SETUPS}
    peers_per_s: dict[str, list[float]] = defaultdict(list)
    for _ in plan.each_round():
        for setup in SETUPS:
            runs[setup].append(run(plan, setup, contest.make_project))
        for name, per_s in _peers(plan, contest).items():
            peers_per_s[name].append(per_s)
    figures = [figure for setup, rounds in runs.items() for figure in _figures(contest, setup, rounds)]
    figures += [
        Figure(name=f"peer {name}", unit="/s", rounds=tuple(values), is_awf=False)
        for name, values in peers_per_s.items()
    ]
    return [*figures, *ratios(runs, peers_per_s, contest), *_latency(plan, contest)]


def run(plan: Plan, setup: Setup, make_project: Callable[[Path], QueueProject]) -> Throughput:
    """One filled queue, emptied. Raises BenchFailed when not all messages complete."""
    count = plan.messages * setup.workers
    options = ("--burst", "--concurrency", str(setup.concurrency))
    with make_project(plan.directory) as project, ExitStack() as stack:
        project.fill(count)
        workers = [
            stack.enter_context(Worker(project, *options, log_level=setup.log_level, log_name=f"worker-{number}.log"))
            for number in range(setup.workers)
        ]
        progress = _watch(project, workers, count)
        for worker in workers:
            worker.watch_to_end(timeout_s=TIMEOUT_S)
        project.check_all_completed(count)
    return throughput(progress, [worker.samples for worker in workers])


def throughput(progress: Sequence[tuple[float, int]], samples: Sequence[Sequence[Sample]]) -> Throughput:
    """From (epoch seconds, results so far) and each worker's samples. Pure."""
    (first_s, before), (last_s, after) = progress[0], progress[-1]
    done = max(after - before, 1)
    cpu_s = sum(between(each, first_s, last_s, lambda sample: sample.cpu_s) for each in samples)
    return Throughput(
        per_s=done / max(last_s - first_s, 0.001),
        cpu_s_per_1k=1000 * cpu_s / done,
        peak_rss_mb=max((sample.peak_rss_mb for each in samples for sample in each), default=0.0),
    )


def _watch(project: QueueProject, workers: Sequence[Worker], count: int) -> list[tuple[float, int]]:
    """(epoch seconds, results so far) from the first result seen to the last."""
    progress: list[tuple[float, int]] = []
    end = time.monotonic() + TIMEOUT_S
    while not progress or progress[-1][1] < count:
        if time.monotonic() > end:
            raise BenchFailed(f"{project.results()} of {count} results after {TIMEOUT_S:g} s")
        time.sleep(POLL_S)
        for worker in workers:
            worker.sample()
        results = project.results()
        if results:
            progress.append((time.time(), results))
    return progress


def _peers(plan: Plan, contest: Contest) -> dict[str, float]:
    """Messages a second of each peer in one round; empty where no folder is named."""
    named = os.environ.get(peers.FOLDER)
    if not named:
        return {}
    folder = Path(named).resolve()
    names = [name for group in contest.peers.values() for name in group]
    once = replace(plan, rounds=1)
    records = peers.run(folder, peers.interpreter(folder, os.environ), "throughput", names, once)
    return {str(record["contestant"]): float(record["rate"]) for record in records if not record.get("failed")}


def _figures(contest: Contest, setup: Setup, rounds: Sequence[Throughput]) -> list[Figure]:
    return [
        Figure(name=f"{contest.broker}, {setup.label}", unit="/s", rounds=tuple(one.per_s for one in rounds)),
        Figure(
            name="  its CPU",
            unit="s/1k",
            rounds=tuple(one.cpu_s_per_1k for one in rounds),
            aim=AIM_CPU_S_PER_1K,
            better="less",
        ),
        Figure(
            name="  its RSS peak",
            unit="MB",
            rounds=tuple(one.peak_rss_mb for one in rounds),
            aim=AIM_RSS_MB,
            better="less",
        ),
    ]


def ratios(runs: dict[Setup, list[Throughput]], peers_per_s: dict[str, list[float]], contest: Contest) -> list[Figure]:
    """Each quiet setup over the fastest peer with as many processes, within each round. Pure."""
    figures = []
    for setup, rounds in runs.items():
        named = contest.peers.get(setup.workers, ())
        rivals = [peers_per_s[name] for name in named if len(peers_per_s.get(name, ())) == len(rounds)]
        if rivals and setup.log_level == "warning":
            fastest = [max(values) for values in zip(*rivals, strict=True)]
            ratios = tuple(one.per_s / other for one, other in zip(rounds, fastest, strict=True))
            figures.append(
                Figure(name=f"{setup.label}, of the fastest peer", unit="×", rounds=ratios, aim=contest.aim_ratio)
            )
    return figures


def _latency(plan: Plan, contest: Contest) -> list[Figure]:
    with contest.make_project(plan.directory) as project, project.client() as client, Worker(project) as worker:
        worker.wait_until_ready()
        warm_up(client)
        return percentiles(client, plan.latency_s, name=f"{contest.broker}, submit to result")
