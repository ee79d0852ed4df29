"""Rounds of `make chaos` that break what workers have in hand, scaled down: every second start has a reason."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from awf_core.testing.brokers import rabbitmq_script
from bench.chaos_in_hand import run

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.skipif(
    rabbitmq_script() is None and not os.environ.get("CI"), reason="rabbitmq-server (with epmd) is not installed"
)


@pytest.mark.parametrize(("workers", "faults"), [(1, ("reset",)), (2, ("reset", "pause", "kill"))])
def test_every_second_start_has_a_reason(tmp_path: Path, workers: int, faults: tuple[str, ...]) -> None:
    report = run(
        tmp_path / "round",
        broker="rabbitmq",
        faults=faults,
        messages=12,
        workers=workers,
        seconds=5.0,
        limit_s=60.0,
        seed=7,
        longest_run_s=3.0,
    )

    assert report.is_good, report
    assert report.faults > 0
    if workers == 1:  # no other worker takes a message: what runs again had ended, and lost its acknowledgement
        assert report.overlaps == 0
        assert report.runs - report.messages == report.by_reset
