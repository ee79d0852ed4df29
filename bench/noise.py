"""How noisy the machine was: a fixed piece of CPU work, timed before and after each section and each round.

The work is always the same, so that its time differs only by what other programs and the processor's clock did.
"""

from __future__ import annotations

import json
import statistics
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NOISY_FROM = 0.15
"""A figure is marked `noisy` where the raw loop's times differ by more than this share of their median."""
TURNS = 1500
REPEATS = 3
WORK = {"id": "0b4f2f4a", "status": "completed", "outputs": {"a": [1, 2.5, None]}, "text": "x" * 200}


def raw_loop_s() -> float:
    """Wall seconds of the fixed work, about 10 ms: the middle of three, so that one interruption does not count."""
    return statistics.median(_once_s() for _ in range(REPEATS))


def raw_cpu_s() -> float:
    """CPU seconds of the same work in this thread: what neighbours take is not in it."""
    took = []
    for _ in range(REPEATS):
        started_s = time.thread_time()
        _work()
        took.append(time.thread_time() - started_s)
    return statistics.median(took)


def spread(times_s: Sequence[float]) -> float:
    """(longest - shortest) / median; 0 for fewer than two. Pure."""
    return (max(times_s) - min(times_s)) / statistics.median(times_s) if len(times_s) > 1 else 0.0


@dataclass(slots=True)
class Noise:
    """The times of the raw loop during one section, in seconds. Not thread-safe."""

    times_s: list[float] = field(default_factory=list)

    def sample(self) -> None:
        """Time the raw loop once more."""
        self.times_s.append(raw_loop_s())

    def rounds(self, count: int) -> Iterator[int]:
        """`range(count)`, the raw loop timed before each round. The section's end times it after the last."""
        for number in range(count):
            self.sample()
            yield number

    @property
    def spread(self) -> float:
        """See `spread`."""
        return spread(self.times_s)


def _once_s() -> float:
    started_s = time.perf_counter()
    _work()
    return time.perf_counter() - started_s


def _work() -> None:
    for _ in range(TURNS):
        json.loads(json.dumps(WORK))
