"""What a worker costs while nothing is to do. Called by `__main__`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bench import proc
from bench.figure import Figure
from bench.project import Project
from bench.worker import Worker

if TYPE_CHECKING:
    from bench.plan import Plan

AIM_PERCENT = 1.0
AIM_RSS_MB = 60.0
SETTLE_S = 1.0


def measure(plan: Plan) -> list[Figure]:
    """CPU and memory of a worker on an empty queue."""
    with Project(plan.directory) as project:
        project.fill("noop", 1)
        with Worker(project) as worker:
            worker.wait_until_ready()
            time.sleep(SETTLE_S)
            before_s, started_s = proc.cpu_s(worker.pid), time.perf_counter()
            time.sleep(plan.idle_s)
            percent = 100 * (proc.cpu_s(worker.pid) - before_s) / (time.perf_counter() - started_s)
            rss_mb = proc.rss_mb(worker.pid)
    return [
        Figure(
            name=f"CPU of an idle worker, over {plan.idle_s:g} s",
            unit="%",
            rounds=(percent,),
            aim=AIM_PERCENT,
            better="less",
            note="of one core, in steps of 10 ms",
        ),
        Figure(name="RSS of an idle worker", unit="MB", rounds=(rss_mb,), aim=AIM_RSS_MB, better="less"),
    ]
