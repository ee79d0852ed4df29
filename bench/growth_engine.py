"""The CPU time of a loop in the engine. Called by `growth`."""

from __future__ import annotations

import statistics
from pathlib import Path

from awf_core.engine.run.engine import Engine
from awf_core.engine.steps import builtin_step_types
from awf_core.lang.load import parse_workflow
from bench.engine import NothingStep, loop_over, once_us


def loop_seconds(repeats: int, count: int) -> float:
    """CPU seconds of one `for_each` over `count` items, the median of `repeats`."""
    step_types = builtin_step_types()
    step_types.register(NothingStep())
    engine = Engine(step_types=step_types, env={})
    workflow = parse_workflow(loop_over(count).encode(), source=Path("bench.yaml"), step_types=step_types)
    return statistics.median(once_us(engine, workflow, count) for _ in range(repeats)) / 1e6
