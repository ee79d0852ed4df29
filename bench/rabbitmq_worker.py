"""No-op messages a second on RabbitMQ, and the way from submit to result. Called by `__main__`.

Quorum queues; every result is confirmed by the broker before its message is acknowledged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import broker_worker
from bench.rabbitmq_project import RabbitMqProject

if TYPE_CHECKING:
    from bench.figure import Figure
    from bench.plan import Plan

CONTEST = broker_worker.Contest(
    broker="RabbitMQ",
    make_project=RabbitMqProject,
    # What acknowledges after the work and the stored result. Of these only taskiq-rabbit-quorum uses quorum queues and
    # confirms its publishes, as we do; the others have it easier.
    peers={
        1: ("taskiq-rabbit-quorum", "taskiq-rabbit", "dramatiq-rabbit-pf128"),
        2: ("taskiq-rabbit-2p", "dramatiq-rabbit-2p"),
    },
    aim_ratio=3.0,
)


def measure(plan: Plan) -> list[Figure]:
    """See `broker_worker.measure`."""
    return broker_worker.measure(plan, CONTEST)
