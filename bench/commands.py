"""`command: "true"` through a worker beside a bare loop that spawns the same shell. Called by `__main__`.

Interleaved rounds, so that both meet the same neighbours; the ratio is taken within each round.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench.figure import Figure
from bench.noop import run

if TYPE_CHECKING:
    from bench.plan import Plan

CONCURRENCY = 5
AIM_RATIO = 0.9


def measure(plan: Plan) -> list[Figure]:
    """Rates, CPU with children, and the ratio."""
    rounds = [_round(plan) for _ in plan.each_round()]
    ours, ours_cpu, bare, bare_cpu = (tuple(values) for values in zip(*rounds, strict=True))
    return [
        Figure(
            name="commands through a worker, of the bare loop",
            unit="×",
            rounds=tuple(a / b for a, b in zip(ours, bare, strict=True)),
            aim=AIM_RATIO,
        ),
        Figure(name=f"  worker, concurrency {CONCURRENCY}, results published", unit="/s", rounds=ours),
        Figure(name="  bare loop, 5 threads of subprocess.run", unit="/s", rounds=bare, is_awf=False),
        Figure(name="  worker's CPU, children included", unit="s/1k", rounds=ours_cpu),
        Figure(name="  bare loop's CPU, children included", unit="s/1k", rounds=bare_cpu, is_awf=False),
    ]


def _round(plan: Plan) -> tuple[float, float, float, float]:
    worker = run(plan, workflow="shell", count=plan.commands, concurrency=CONCURRENCY, log_level="warning")
    bare_per_s, bare_cpu_s_per_1k = bare_loop(plan.commands)
    return worker.per_s, worker.cpu_s_per_1k, bare_per_s, bare_cpu_s_per_1k


def bare_loop(count: int) -> tuple[float, float]:
    """Commands a second, and CPU seconds per 1,000, of `spawn_loop.py` in an interpreter of its own."""
    loop = Path(__file__).with_name("spawn_loop.py")
    argv = [sys.executable, str(loop), os.environ.get("SHELL") or "/bin/sh", str(CONCURRENCY), str(count)]
    answer = json.loads(subprocess.run(argv, capture_output=True, check=True, text=True).stdout)
    return count / answer["seconds"], 1000 * answer["cpu_s"] / count
