"""The chaos round of `make chaos`, scaled down, and how it explains a second result."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from awf_core.testing.brokers import rabbitmq_script
from bench.chaos_crew import WorkerKill
from bench.chaos_rabbitmq import Result, ServerKill, explanation, run

if TYPE_CHECKING:
    from pathlib import Path

KILLS = [WorkerKill(worker="a", at_s=10.0)]
OUTAGES = [ServerKill(at_s=50.0, over_s=54.0, return_s=1.0)]


@pytest.mark.skipif(
    rabbitmq_script() is None and not os.environ.get("CI"), reason="rabbitmq-server (with epmd) is not installed"
)
def test_every_message_has_a_result_though_workers_and_the_broker_are_killed(tmp_path: Path) -> None:
    report = run(tmp_path, messages=150, workers=2, kills=2, server_kills=1, seed=7, limit_s=60)

    assert report.is_good, report
    assert (report.kills, report.server_kills, report.distinct_results) == (2, 1, 150)


@pytest.mark.parametrize(
    ("first", "second", "why"),
    [
        (("a", 9.0, 9.9), ("b", 11.0, 11.1), "worker"),
        (("b", 9.0, 9.9), ("a", 11.0, 11.1), None),
        (("a", 1.0, 2.0), ("b", 11.0, 11.1), None),
        (("a", 9.0, 9.9), ("b", 9.5, 9.95), None),
        (("c", 49.0, 49.9), ("b", 55.0, 55.1), "broker"),
        (("c", 49.0, 55.0), ("c", 54.5, 54.6), "broker"),
        (("c", 30.0, 31.0), ("c", 55.0, 55.1), None),
        (("c", 60.0, 60.1), ("d", 61.0, 61.1), None),
    ],
)
def test_a_second_result_is_held_against_the_kills(
    first: tuple[str, float, float], second: tuple[str, float, float], why: str | None
) -> None:
    one, other = (Result(worker=w, started_s=s, finished_s=f) for w, s, f in (first, second))

    assert explanation(one, other, KILLS, OUTAGES) == why
