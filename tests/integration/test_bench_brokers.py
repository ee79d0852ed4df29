"""The sections on brokers run real workers, count what they did, and compare within rounds."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from awf_core.testing.brokers import rabbitmq_script, redis_program
from bench.broker_worker import Setup, Throughput, ratios, run, throughput
from bench.figure import BenchFailed
from bench.plan import Plan
from bench.project import WORK
from bench.rabbitmq_project import RabbitMqProject
from bench.redis_worker import CONTEST, RedisProject
from bench.worker import Sample

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bench.broker_worker import QueueProject

needs_redis = pytest.mark.skipif(
    redis_program() is None and not os.environ.get("CI"), reason="no redis-server or valkey-server is installed"
)
needs_rabbitmq = pytest.mark.skipif(
    rabbitmq_script() is None and not os.environ.get("CI"), reason="rabbitmq-server (with epmd) is not installed"
)


def rate(per_s: float) -> Throughput:
    return Throughput(per_s=per_s, cpu_s_per_1k=0.1, peak_rss_mb=50.0)


class CheckedRabbitMqProject(RabbitMqProject):
    """Begin with messages that no worker completes. A broker of its own for that would take longer than all the rest."""

    def fill(self, count: int) -> None:
        super().fill(3)
        with pytest.raises(BenchFailed, match=r"expected 3 completed results, found 0 .* 3 left in 'awf-workflows'"):
            self.check_all_completed(3)
        self._channel.queue_purge(WORK)
        super().fill(count)


@pytest.mark.parametrize(
    "make_project",
    [pytest.param(RedisProject, marks=needs_redis), pytest.param(CheckedRabbitMqProject, marks=needs_rabbitmq)],
)
def test_two_workers_empty_a_queue_between_them_and_are_measured(
    tmp_path: Path, make_project: Callable[[Path], QueueProject]
) -> None:
    measured = run(Plan(directory=tmp_path, messages=150), Setup(workers=2, concurrency=4), make_project)

    assert measured.per_s > 0
    assert measured.cpu_s_per_1k > 0
    assert 20 < measured.peak_rss_mb < 200
    assert list(tmp_path.iterdir()) == [], "the project was left behind"


@needs_redis
def test_a_run_in_which_messages_did_not_complete_is_refused_with_what_there_is(tmp_path: Path) -> None:
    with RedisProject(tmp_path) as project:
        project.fill(3)

        with pytest.raises(BenchFailed, match=r"expected 3 completed results, found 0 .*'awf-workflows'"):
            project.check_all_completed(3)


def test_rate_and_cpu_are_those_between_the_first_result_seen_and_the_last() -> None:
    samples = [
        Sample(at_s=at_s, cpu_s=cpu_s, rss_mb=1.0, peak_rss_mb=peak, machine_cpu_s=0.0)
        for at_s, cpu_s, peak in ((9.0, 5.0, 40.0), (10.0, 6.0, 50.0), (12.0, 7.0, 51.0))
    ]

    measured = throughput([(10.0, 100), (11.0, 600), (12.0, 1100)], [samples, samples])

    assert measured == Throughput(per_s=500.0, cpu_s_per_1k=2.0, peak_rss_mb=51.0)


def test_the_ratio_is_to_the_fastest_peer_of_as_many_processes_in_the_same_round() -> None:
    one, two = Setup(workers=1, concurrency=8), Setup(workers=2, concurrency=8)
    runs = {one: [rate(400.0), rate(900.0)], two: [rate(500.0), rate(500.0)]}
    peers = {
        "dramatiq-redis-pf128": [100.0, 200.0],
        "taskiq-stream": [50.0, 300.0],
        "dramatiq-redis-2p": [250.0, 125.0],
    }

    found = ratios(runs, peers, CONTEST)

    assert [(figure.name, figure.rounds) for figure in found] == [
        (f"{one.label}, of the fastest peer", (4.0, 3.0)),
        (f"{two.label}, of the fastest peer", (2.0, 4.0)),
    ]
