"""Submit to result in the caller's hands, at a steady rate through a warm, idle worker. Called by `__main__`.

The caller is the Python client with its own private reply queue, as `awf submit --wait` uses it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bench.figure import Figure, percentile
from bench.project import Project
from bench.worker import Worker

if TYPE_CHECKING:
    from awf_core.client import Client
    from bench.plan import Plan

PER_S = 50
WARM_UP = 20
WAIT_S = 10.0


def measure(plan: Plan) -> list[Figure]:
    """Percentiles over `latency_s` seconds."""
    with Project(plan.directory) as project, project.client() as client:
        project.fill("noop", 1)
        with Worker(project) as worker:
            worker.wait_until_ready()
            warm_up(client)
            return percentiles(client, plan.latency_s, name="submit to result")


def warm_up(client: Client) -> None:
    """A few that are not counted."""
    for _ in range(WARM_UP):
        _once_ms(client)


def percentiles(client: Client, seconds: float, *, name: str) -> list[Figure]:
    """Of messages submitted at a steady rate for so long, each waited for."""
    took_ms = _at_a_steady_rate(client, seconds)
    note = f"{len(took_ms)} messages at {PER_S}/s"
    return [
        Figure(name=f"{name}, p{percent}", unit="ms", rounds=(percentile(took_ms, percent / 100),), note=note)
        for percent in (50, 90, 99)
    ]


def _at_a_steady_rate(client: Client, seconds: float) -> list[float]:
    started_s, took_ms = time.perf_counter(), []
    for number in range(max(1, round(PER_S * seconds))):
        time.sleep(max(0.0, started_s + number / PER_S - time.perf_counter()))
        took_ms.append(_once_ms(client))
    return took_ms


def _once_ms(client: Client) -> float:
    started_s = time.perf_counter()
    client.wait(client.submit("noop", expect_reply=True), timeout_s=WAIT_S)
    return 1000 * (time.perf_counter() - started_s)
