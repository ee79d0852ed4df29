"""No-op messages a second through one `awf worker`, results published. Called by `__main__`.

The queue is filled first. The rate is between the first and the last settlement, by the times in the queue file.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from bench.figure import Figure
from bench.project import Project
from bench.worker import Sample, Worker, between

if TYPE_CHECKING:
    from bench.plan import Plan

AIM_PER_S = 5000.0
CONCURRENCIES = (5, 8, 16)
LOG_LEVELS = ("info", "warning")
TIMEOUT_S = 180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """The figures of one run. `other_cores`: CPU of other processes meanwhile; high = a disturbed run."""

    per_s: float
    cpu_s_per_1k: float
    peak_rss_mb: float
    other_cores: float


def run(plan: Plan, *, workflow: str, count: int, concurrency: int, log_level: str) -> Throughput:
    """One worker through a queue of `count` messages. Raises BenchFailed when not all of them complete."""
    with Project(plan.directory) as project:
        project.fill(workflow, count)
        with Worker(project, "--burst", "--concurrency", str(concurrency), log_level=log_level) as worker:
            worker.watch_to_end(timeout_s=TIMEOUT_S)
        project.check_all_completed(count)
        return _throughput(project.settled_at_s(), worker.samples)


def _throughput(settled_at_s: list[float], samples: list[Sample]) -> Throughput:
    first_s, last_s = settled_at_s[0], settled_at_s[-1]
    window_s = max(last_s - first_s, 0.001)
    done = sum(1 for at_s in settled_at_s if at_s > first_s)
    cpu_s = between(samples, first_s, last_s, lambda sample: sample.cpu_s)
    machine_s = between(samples, first_s, last_s, lambda sample: sample.machine_cpu_s)
    return Throughput(
        per_s=done / window_s,
        cpu_s_per_1k=1000 * cpu_s / max(done, 1),
        peak_rss_mb=max((sample.peak_rss_mb for sample in samples), default=0.0),
        other_cores=max(0.0, machine_s - cpu_s) / window_s,
    )


def measure(plan: Plan) -> list[Figure]:
    """Every combination of concurrency and log level, in interleaved rounds."""
    combinations = list(product(LOG_LEVELS, CONCURRENCIES))
    runs: dict[tuple[str, int], list[Throughput]] = {combination: [] for combination in combinations}
    for _ in plan.each_round():
        for level, concurrency in combinations:
            one = run(plan, workflow="noop", count=plan.messages, concurrency=concurrency, log_level=level)
            runs[level, concurrency].append(one)
    return [figure for (level, concurrency), rounds in runs.items() for figure in _figures(level, concurrency, rounds)]


def _figures(level: str, concurrency: int, rounds: list[Throughput]) -> list[Figure]:
    label = f"concurrency {concurrency}, log {level}"
    disturbed = max(one.other_cores for one in rounds)
    return [
        Figure(
            name=f"no-op messages, {label}",
            unit="/s",
            rounds=tuple(one.per_s for one in rounds),
            aim=AIM_PER_S,
            note=f"others used up to {disturbed:.1f} cores",
        ),
        Figure(name=f"  CPU, {label}", unit="s/1k", rounds=tuple(one.cpu_s_per_1k for one in rounds)),
        Figure(
            name=f"  RSS peak, {label}",
            unit="MB",
            rounds=tuple(one.peak_rss_mb for one in rounds),
            aim=60.0,
            better="less",
        ),
    ]
