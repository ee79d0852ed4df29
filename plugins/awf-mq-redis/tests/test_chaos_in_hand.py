"""Rounds of `make chaos` that break what workers have in hand, scaled down: every second start has a reason."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from set_clock import faketime_library

from awf_core.testing.brokers import redis_program
from bench.chaos_in_hand import run

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.skipif(
    (redis_program() is None or faketime_library() is None) and not os.environ.get("CI"),
    reason="no redis-server or no faketime is installed",
)


@pytest.mark.parametrize(
    ("broker", "workers", "faults"),
    [("redis", 2, ("reset",)), ("redis", 2, ("clock", "pause", "kill")), ("cluster", 1, ("freeze",))],
)
def test_every_second_start_has_a_reason(tmp_path: Path, broker: str, workers: int, faults: tuple[str, ...]) -> None:
    report = run(
        tmp_path / "round",
        broker=broker,
        faults=faults,
        messages=12,
        workers=workers,
        seconds=4.0,
        limit_s=40.0,
        seed=7,
        longest_run_s=3.0,
    )

    assert report.is_good, report
    assert report.faults > 0
    if not {"pause", "kill"} & set(faults):
        assert report.runs == report.messages
