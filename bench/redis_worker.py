"""No-op messages a second on Redis, and the way from submit to result. Called by `__main__`.

Every message is published a result and acknowledged in one script.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import broker_worker
from bench.redis_project import RedisProject

if TYPE_CHECKING:
    from bench.figure import Figure
    from bench.plan import Plan

CONTEST = broker_worker.Contest(
    broker="Redis",
    make_project=RedisProject,
    # What acknowledges after the work, and stores results.
    peers={1: ("dramatiq-redis-pf128", "taskiq-stream"), 2: ("dramatiq-redis-2p", "taskiq-stream-2p")},
    aim_ratio=4.0,
)


def measure(plan: Plan) -> list[Figure]:
    """See `broker_worker.measure`."""
    return broker_worker.measure(plan, CONTEST)
