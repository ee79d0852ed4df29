"""How a worker ends: two requests are two, and `--burst` leaves nothing behind."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from fault_project import is_signal_pending

from awf_core.testing.eventually import eventually

if TYPE_CHECKING:
    from embedded_faults import EmbeddedFaults

ENDED_WITHIN_S = 15.0
"""What an end by force takes at most; the grace is far longer."""


@pytest.mark.parametrize("count", [2, 3])
def test_stop_signals_in_quick_succession_are_counted_one_by_one(project: EmbeddedFaults, count: int) -> None:
    worker = project.worker(project.embedded(grace="1h"))
    project.put("m")
    project.await_starts(1, "m")

    for _ in range(count):
        eventually(lambda: not is_signal_pending(worker.pid, signal.SIGTERM), 5)
        worker.signal(signal.SIGTERM)
    code = worker.end(ENDED_WITHIN_S)

    assert code == (5 if count == 2 else 128 + signal.SIGTERM)
    assert project.results() == []
    assert project.count("work") == 1
