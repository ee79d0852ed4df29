"""Whether the work goes so fast that the broker may send ahead. Used by `subscription.py` and `lane.py`.

A delivery counts against the prefetch until it is acknowledged, and that is only after the broker has confirmed its
result. With runs shorter than that way, a window of just the free slots leaves the slots idle while results are under
way: seen with no-op runs on quorum queues, where a window of twice that brought up to half as much again.
"""

from __future__ import annotations

QUICK_S = 0.1
"""How long a message sent ahead may have to wait for the run before it: nobody would have had it much sooner."""
BRISK_AFTER = 16
"""So many quick messages in a row make it brisk; one that is slow ends it."""


class Pace:
    """How fast messages came and went lately. Written by several threads; a count that is off by a few does no harm."""

    def __init__(self) -> None:
        self._quick = 0
        self._most_wanted = 0

    @property
    def window(self) -> int | None:
        """How much the broker may send in all, settled or not; None = no more than is asked for."""
        return 2 * self._most_wanted if self._is_brisk and self._most_wanted else None

    def asked(self, wanted: int) -> None:
        """So many are waited for."""
        if self._is_brisk:
            self._most_wanted = max(self._most_wanted, wanted)

    def settled(self, run_s: float) -> None:
        """A delivery was settled, which came `run_s` seconds before that began."""
        if run_s < QUICK_S:
            self._quick += 1
        else:
            self.slow_down()

    def slow_down(self) -> None:
        """Something took long, or nobody came for what is here."""
        self._quick = self._most_wanted = 0

    @property
    def _is_brisk(self) -> bool:
        return self._quick >= BRISK_AFTER
