"""The chaos round of `make chaos`, scaled down: workers killed at random, every message and second result counted."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from awf_core.testing.brokers import moto_program
from bench.chaos_crew import WorkerKill
from bench.chaos_sqs import run, second_results

if TYPE_CHECKING:
    from pathlib import Path

KILLS = [WorkerKill(worker="a", at_s=10.0)]


def result(worker: str, started_s: float, finished_s: float) -> dict[str, Any]:
    at = [datetime.fromtimestamp(moment, UTC).isoformat() for moment in (started_s, finished_s)]
    return {"worker": worker, "started_at": at[0], "finished_at": at[1]}


@pytest.mark.skipif(
    moto_program() is None and not os.environ.get("CI"),
    reason="moto_server is not installed: pip install 'moto[server]'",
)
def test_every_message_has_a_result_and_each_second_one_is_explained_though_workers_are_killed(tmp_path: Path) -> None:
    report = run(tmp_path, messages=60, workers=2, kills=3, server_kills=0, lease_s=2, seed=7, limit_s=60)

    assert report.is_good, report
    assert (report.kills, report.distinct_results) == (3, 60)
    assert report.second_results == report.by_worker_kill
    assert report.runs >= report.messages


@pytest.mark.parametrize(
    ("second", "is_explained"),
    [(result("b", 13.0, 13.1), True), (result("b", 9.5, 9.95), False), (result("a", 13.0, 13.1), True)],
)
def test_a_second_result_is_explained_by_the_death_of_the_first_worker_between_send_and_delete(
    second: dict[str, Any], is_explained: bool
) -> None:
    assert second_results({"m": [result("a", 9.0, 9.9), second]}, KILLS) == [is_explained]


def test_a_second_result_of_a_worker_that_lived_is_not_explained() -> None:
    bodies = {"m": [result("b", 9.0, 9.9), result("a", 13.0, 13.1)], "n": [result("a", 9.0, 9.9)]}

    assert second_results(bodies, KILLS) == [False]


def test_a_third_result_is_compared_with_the_second() -> None:
    bodies = {"m": [result("c", 13.0, 13.1), result("a", 9.0, 9.9), result("b", 16.0, 16.1)]}

    assert second_results(bodies, KILLS) == [True, False]


def test_a_round_that_would_kill_the_server_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a killed moto server loses all queues"):
        run(tmp_path, messages=1, workers=1, kills=0, server_kills=1, lease_s=2, seed=7, limit_s=1)
