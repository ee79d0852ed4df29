"""How many messages of a worker ended in which way. Counted by the settle threads, read at the end. Thread-safe."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from awf_core.worker.decide import RELEASED_FOR

if TYPE_CHECKING:
    from awf_core.worker.decide import Decision


class Tally:
    """What became of the messages so far."""

    def __init__(self) -> None:
        self.settled = self.dead = self.released = self.lost = 0
        self._lock = threading.Lock()

    def count(self, decision: Decision, ending: str) -> None:
        """One more message ended: as decided, or `lost`."""
        with self._lock:
            self.settled += 1
            self.dead += ending in ("dead_letter", "discard")
            self.lost += ending == "lost"
            self.released += ending == "nack" and decision.reason in RELEASED_FOR
