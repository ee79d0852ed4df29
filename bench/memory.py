"""How much memory a worker has after many messages, and how fast it grows. Called by `__main__`."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from bench.figure import BenchFailed, Figure, slope
from bench.project import Project
from bench.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.plan import Plan
    from bench.worker import Sample

AIM_RSS_MB = 60.0
AIM_SLOPE_MB = 0.5
WARM_UP = 0.2
"""The share of the messages after which caches and allocators should have their size."""
CONCURRENCY = 8
TIMEOUT_S = 900.0


def measure(plan: Plan) -> list[Figure]:
    """Over the plan's `memory_messages`."""
    return growth(plan, plan.memory_messages)


def growth(plan: Plan, count: int) -> list[Figure]:
    """Peak and slope of resident memory over `count` no-op messages, log level info. Raises BenchFailed."""
    with Project(plan.directory) as project:
        project.fill("noop", count)
        with Worker(project, "--burst", "--concurrency", str(CONCURRENCY)) as worker:
            worker.watch_to_end(timeout_s=TIMEOUT_S)
        project.check_all_completed(count)
        points = by_message(worker.samples, project.settled_at_s())
    warm = [point for point in points if point[0] >= WARM_UP * count]
    if not warm:
        raise BenchFailed(f"{count} messages were settled before memory could be sampled; use more")
    return [
        Figure(
            name=f"RSS peak over {count:,} messages",
            unit="MB",
            rounds=(max(sample.peak_rss_mb for sample in worker.samples),),
            aim=AIM_RSS_MB,
            better="less",
            note=f"{points[0][1]:.1f} MB at the first sample, {points[-1][1]:.1f} MB at the last",
        ),
        Figure(
            name="  its slope after warm-up",
            unit="MB/10k",
            rounds=(10_000 * slope(warm),),
            aim=AIM_SLOPE_MB,
            better="less",
            note=f"least squares over {len(warm)} samples",
        ),
    ]


def by_message(samples: Sequence[Sample], settled_at_s: Sequence[float]) -> list[tuple[float, float]]:
    """(messages settled so far, RSS in MB) of every sample from the first settlement to the last. Pure."""
    return [
        (float(bisect_right(settled_at_s, sample.at_s)), sample.rss_mb)
        for sample in samples
        if settled_at_s[0] <= sample.at_s <= settled_at_s[-1]
    ]
