"""How the cost of a message grows with what is around it: backlog, dead-lettered and delayed messages, queues, body
size, items of a loop, worker processes. Called by `__main__`.

Each series ends with its exponent: by which power of the size the cost grows at the upper end.
"""

from __future__ import annotations

import math
import statistics
import time
from typing import TYPE_CHECKING

from awf_core.contract import Ack, DeadLetter, Nack, Outgoing
from awf_core.testing.brokers import rabbitmq_script, redis_program
from bench import broker_worker
from bench.broker_worker import Setup
from bench.figure import BenchFailed, Figure
from bench.growth_engine import loop_seconds
from bench.project import WORK, Project
from bench.rabbitmq_project import RabbitMqProject
from bench.redis_worker import RedisProject

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from awf_core.contract import Delivery
    from awf_core.mq import Mq
    from bench.broker_worker import QueueProject
    from bench.plan import Plan

    AnyProject = Project | QueueProject
    Point = tuple[float, float]

FLAT, LINEAR = 0.15, 1.15
BATCH, BATCHES = 8, 40
FILL_AT_ONCE = 1000
WAIT_S = 10.0
DEAD = "awf-dlq"
HOUR_S = 3600.0
BODY_REPEATS = 5
MOST_QUEUES, MESSAGES_OF_A_QUEUE = 100, 100
AIM_CLAIM = 1.2


def measure(plan: Plan) -> list[Figure]:
    """Every series on each broker that is installed; dead-lettered and delayed messages not on RabbitMQ."""
    brokers: dict[str, tuple[bool, Callable[[Path], AnyProject]]] = {
        "embedded": (True, Project),
        "Redis": (redis_program() is not None, RedisProject),
        "RabbitMQ": (rabbitmq_script() is not None, RabbitMqProject),
    }
    figures: list[Figure] = []
    for broker, (is_there, make) in brokers.items():
        if not is_there:
            print(f"left out: {broker} is not installed")
            continue
        figures += backlog(plan, broker, make)
        figures += bodies(plan, broker, make)
        if broker != "RabbitMQ":
            figures += beside(plan, broker, make, "dead-lettered", dead_letter_all)
            figures += beside(plan, broker, make, "delayed", delay_all)
            figures += queues(plan, broker, make)
    return [*figures, *loops(plan), *processes(plan)]


def sizes(smallest: int, largest: int) -> list[int]:
    """Powers of ten times `smallest`, up to `largest`; at least `smallest`. Pure."""
    found = [smallest]
    while found[-1] * 10 <= largest:
        found.append(found[-1] * 10)
    return found


def exponent(points: Sequence[Point]) -> float:
    """The slope of log(cost) over log(size), over the larger half of the points, at least two. Pure.

    The smaller half is left out because a fixed cost hides there how the rest grows. Raises ValueError for fewer than
    two sizes, or a size or cost that is not positive.
    """
    upper = sorted(points)[-max(2, math.ceil(len(points) / 2)) :]
    logs = [(math.log(size), math.log(cost)) for size, cost in upper]
    return statistics.linear_regression([x for x, _ in logs], [y for _, y in logs]).slope


def kind(value: float) -> str:
    """`flat`, `linear` or `worse` of an exponent. Pure."""
    if value <= FLAT:
        return "flat"
    return "linear" if value <= LINEAR else "worse"


def series(name: str, points: Sequence[Point], *, x_label: str, unit: str, aim: float) -> list[Figure]:
    """A figure of the exponent, and one below it for each size. Pure."""
    if len(points) < 2:
        return [Figure(name=f"{name}, {size:,.0f} {x_label}", unit=unit, rounds=(cost,)) for size, cost in points]
    value = exponent(points)
    found = [
        Figure(
            name=f"{name}, exponent",
            unit="exponent",
            rounds=(value,),
            aim=aim,
            better="less",
            note=f"{kind(value)}; plotted in {unit}",
            points=tuple(points),
            x_label=x_label,
        )
    ]
    return found + [Figure(name=f"  {size:,.0f} {x_label}", unit=unit, rounds=(cost,)) for size, cost in points]


def backlog(plan: Plan, broker: str, make: Callable[[Path], AnyProject]) -> list[Figure]:
    """Claim time per message beside backlogs up to the plan's largest, and that of an otherwise empty queue."""
    points: list[Point] = []
    with make(plan.directory) as project, project.client() as client:
        mq = opened(client._open())  # noqa: SLF001  (the queue as the client has it: no second way to open one)
        empty_us = claim_us(plan, mq)
        there = 0
        for size in sizes(1000, plan.largest):
            publish(mq, size - there)
            there = size
            points.append((size, claim_us(plan, mq)))
    largest, cost = points[-1]
    ratio = Figure(
        name=f"{broker}, claim at a backlog of {largest:,.0f}, of an empty queue",
        unit="×",
        rounds=(cost / empty_us,),
        aim=AIM_CLAIM,
        better="less",
    )
    return [ratio, *series(f"{broker}, claim by backlog", points, x_label="messages", unit="µs", aim=FLAT)]


def bodies(plan: Plan, broker: str, make: Callable[[Path], AnyProject]) -> list[Figure]:
    """Publish, claim and ack of a message by its body, 1 kB to 1 MB."""
    points: list[Point] = []
    with make(plan.directory) as project, project.client() as client:
        mq = opened(client._open())  # noqa: SLF001
        through_us(mq, b"{}")
        for size in sizes(1000, 1_000_000):
            took = [
                through_us(mq, b'{"workflow": "noop", "pad": "' + b"x" * size + b'"}')
                for _ in plan.noise.rounds(BODY_REPEATS)
            ]
            points.append((size, statistics.median(took)))
    return series(f"{broker}, a message by its body", points, x_label="bytes", unit="µs", aim=LINEAR)


def beside(
    plan: Plan,
    broker: str,
    make: Callable[[Path], AnyProject],
    what: str,
    put_away: Callable[[Mq, Sequence[Delivery]], None],
) -> list[Figure]:
    """Claim time per message beside so many messages that are dead-lettered, or delayed by an hour."""
    points: list[Point] = []
    with make(plan.directory) as project, project.client() as client:
        mq = opened(client._open())  # noqa: SLF001
        there = 0
        for size in sizes(1000, plan.largest // 10):
            publish(mq, size - there)
            while there < size:
                found = mq.consume(WORK, limit=min(FILL_AT_ONCE, size - there), wait_s=WAIT_S)
                if not found:
                    raise BenchFailed(f"{broker}: only {there} of {size} messages came to be {what}")
                put_away(mq, found)
                there += len(found)
            points.append((size, claim_us(plan, mq)))
    return series(f"{broker}, claim beside {what} messages", points, x_label="messages", unit="µs", aim=FLAT)


def queues(plan: Plan, broker: str, make: Callable[[Path], AnyProject]) -> list[Figure]:
    """Claim time per message of one queue beside others, each with a hundred messages."""
    points: list[Point] = []
    with make(plan.directory) as project, project.client() as client:
        mq = opened(client._open())  # noqa: SLF001
        there = 1
        for count in sizes(1, MOST_QUEUES):
            for number in range(there, count):
                mq.ensure(f"other-{number}", "work", dead_letter=DEAD)
                check(mq.publish([Outgoing(queue=f"other-{number}", body=b"{}")] * MESSAGES_OF_A_QUEUE))
            there = count
            points.append((count, claim_us(plan, mq)))
    return series(f"{broker}, claim by number of queues", points, x_label="queues", unit="µs", aim=FLAT)


def loops(plan: Plan) -> list[Figure]:
    """CPU of a whole `for_each` by its items, in the engine alone."""
    points = [(count, 1000 * loop_seconds(plan.repeats, count)) for count in sizes(10, 10_000)]
    return series("a for_each, in the engine", points, x_label="items", unit="ms", aim=LINEAR)


def processes(plan: Plan) -> list[Figure]:
    """No-op messages a second on Redis through 1 to 8 worker processes; more than there are cores add nothing."""
    if redis_program() is None:
        return []
    found = []
    for workers in (1, 2, 4, 8):
        setup = Setup(workers=workers, concurrency=8)
        one = broker_worker.run(plan, setup, RedisProject)
        found.append(Figure(name=f"Redis, worker processes: {workers}", unit="/s", rounds=(one.per_s,)))
    return found


def opened(mq: Mq) -> Mq:
    """The queues in place."""
    mq.ensure(DEAD, "dead")
    mq.ensure(WORK, "work", dead_letter=DEAD)
    return mq


def publish(mq: Mq, count: int, body: bytes = b'{"workflow": "noop"}') -> None:
    """Put `count` messages into the work queue, a thousand at once. Raises BenchFailed."""
    for first in range(0, count, FILL_AT_ONCE):
        check(mq.publish([Outgoing(queue=WORK, body=body)] * min(FILL_AT_ONCE, count - first)))


def claim_us(plan: Plan, mq: Mq) -> float:
    """Microseconds of claiming one message in batches of eight; the claimed are acked, and replaced before that."""
    took = []
    for number in range(BATCHES):
        if number % 10 == 0:
            plan.noise.sample()
        publish(mq, BATCH)
        started_s = time.perf_counter()
        found = mq.consume(WORK, limit=BATCH, wait_s=WAIT_S)
        passed_s = time.perf_counter() - started_s
        if not found:
            raise BenchFailed(f"no message came within {WAIT_S:g} s though {BATCH} were published")
        check(mq.ack([Ack(delivery=one) for one in found]))
        took.append(1e6 * passed_s / len(found))
    return statistics.median(took)


def through_us(mq: Mq, body: bytes) -> float:
    """Microseconds of one message through the queue."""
    started_s = time.perf_counter()
    publish(mq, 1, body)
    found = mq.consume(WORK, limit=1, wait_s=WAIT_S)
    check(mq.ack([Ack(delivery=one) for one in found]))
    passed_s = time.perf_counter() - started_s
    if [len(one.body) for one in found] != [len(body)]:
        raise BenchFailed(f"a body of {len(body)} bytes was published, and {len(found)} messages came")
    return 1e6 * passed_s


def dead_letter_all(mq: Mq, found: Sequence[Delivery]) -> None:
    """Dead-letter every delivery."""
    check(mq.dead_letter([DeadLetter(delivery=one, queue=DEAD, reason="malformed", error="bench") for one in found]))


def delay_all(mq: Mq, found: Sequence[Delivery]) -> None:
    """Return every delivery for an hour later."""
    check(mq.nack([Nack(delivery=one, delay_s=HOUR_S) for one in found]))


def check(answers: Sequence[object]) -> None:
    """Raise BenchFailed with the first error among a broker's answers."""
    problem = next((answer for answer in answers if answer is not None), None)
    if problem is not None:
        raise BenchFailed(f"the broker refused: {problem}")
