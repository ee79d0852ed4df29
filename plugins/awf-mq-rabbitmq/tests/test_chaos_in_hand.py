"""Rounds of `make chaos` that break what workers have in hand, scaled down: every second start has a reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from bench.chaos_in_hand import DEAD, OTHER, RESULTS, WORK, run
from bench.in_hand_brokers import RabbitMqSide

if TYPE_CHECKING:
    from pathlib import Path

    from awf_core.testing.brokers import PrivateRabbitMq


@pytest.mark.parametrize(("workers", "faults"), [(1, ("reset",)), (2, ("reset", "pause", "kill"))])
def test_every_second_start_has_a_reason(
    tmp_path: Path, server: PrivateRabbitMq, external: Any, workers: int, faults: tuple[str, ...]
) -> None:
    for queue in (WORK, OTHER, RESULTS, DEAD):
        external.queue_delete(queue)

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
        side=RabbitMqSide(tmp_path / "broker", server=server),
    )

    assert report.is_good, report
    assert report.faults > 0
    if workers == 1:  # no other worker takes a message: what runs again had ended, and lost its acknowledgement
        assert report.overlaps == 0
        assert report.runs - report.messages == report.by_reset
