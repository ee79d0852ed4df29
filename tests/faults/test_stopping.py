"""How a worker ends: two requests are two, and `--burst` leaves nothing behind."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from awf_core.testing.eventually import eventually

if TYPE_CHECKING:
    from embedded_faults import EmbeddedFaults

TERM_BIT = 1 << (signal.SIGTERM - 1)
ENDED_WITHIN_S = 15.0
"""What an end by force takes at most; the grace is far longer."""


def is_pending(pid: int) -> bool:
    """Whether a TERM was sent to a process and not yet taken by it."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return any(int(line.split()[1], 16) & TERM_BIT for line in lines if line.startswith(("SigPnd", "ShdPnd")))


@pytest.mark.parametrize("count", [2, 3])
def test_stop_signals_in_quick_succession_are_counted_one_by_one(project: EmbeddedFaults, count: int) -> None:
    worker = project.worker(project.embedded(grace="1h"))
    project.put("m")
    project.await_starts(1, "m")

    for _ in range(count):
        # The kernel keeps one signal of a kind: the next is sent as soon as the process has taken the last.
        eventually(lambda: not is_pending(worker.pid), 5)
        worker.signal(signal.SIGTERM)
    code = worker.end(ENDED_WITHIN_S)

    assert code == (5 if count == 2 else 128 + signal.SIGTERM)
    assert project.results() == []
    assert project.count("work") == 1
