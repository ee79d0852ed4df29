"""How long to wait before asking a broker again: doubling with full jitter, short enough to be back within seconds."""

from __future__ import annotations

import random

FIRST_S = 0.1
LONGEST_S = 3.0


class Backoff:
    """The waits of one caller. Not shared between threads."""

    def __init__(self, *, first_s: float = FIRST_S, longest_s: float = LONGEST_S) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self.failures = 0

    def next_s(self) -> float:
        """Count a failure and say how many seconds to wait: between half and all of the doubled step."""
        step_s = min(self._longest_s, self._first_s * 2.0 ** min(self.failures, 20))
        self.failures += 1
        return step_s * random.uniform(0.5, 1.0)  # noqa: S311  (spreads load, guards nothing)

    def reset(self) -> None:
        """The call went through."""
        self.failures = 0
