"""How long to wait before a broker is asked again: doubled with each failure, spread by chance, bounded.

For the worker and for backends alike. The retry of a failed *message* is another matter: `worker/delays.py`.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_S = 0.1
LONGEST_S = 3.0
"""Short enough that a worker is back within seconds of its broker."""


class Backoff:
    """The waits of one caller. Not thread-safe.

    first_s     the first wait, in seconds
    longest_s   no wait is longer
    least       the least part of a step that is waited, 0 to 1; what is above it is left to chance
    chance      gives a random number in [0, 1)
    """

    def __init__(
        self,
        *,
        first_s: float = FIRST_S,
        longest_s: float = LONGEST_S,
        least: float = 0.5,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._least = least
        self._chance = chance
        self.failures = 0

    def next_s(self) -> float:
        """Count a failure and return how many seconds to wait."""
        # Beyond 2**20 the bound decides anyway, and a float overflows at last.
        step_s = min(self._longest_s, self._first_s * 2.0 ** min(self.failures, 20))
        self.failures += 1
        return step_s * (self._least + (1 - self._least) * self._chance())

    def reset(self) -> None:
        """The call went through: the next wait is the first one again."""
        self.failures = 0
