"""Memory over many more messages than a normal run: `python -m bench --only soak`. Called by `__main__`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.memory import growth

if TYPE_CHECKING:
    from bench.figure import Figure
    from bench.plan import Plan


def measure(plan: Plan) -> list[Figure]:
    """Over the plan's `soak_messages`."""
    return growth(plan, plan.soak_messages)
