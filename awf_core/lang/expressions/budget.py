"""How much one evaluation may do. One instance per evaluation, made by the frame; never shared between threads.

The original engine lets an evaluation allocate a million array elements. Here the rounds of predicates have a limit of
their own as well, so that no expression can keep a worker busy.
"""

from __future__ import annotations

from awf_core.lang.expressions.errors import Fault

LIMIT = 1_000_000
MAX_ROUNDS = 1_000_000
MAX_WALK = 300_000
MAX_TEXT_CHARS = 16_000_000


class Budget:
    """What is left of both allowances. Comparing and writing a value take one of their own, of `MAX_WALK` elements."""

    __slots__ = ("_left", "_rounds")

    def __init__(self, elements: int = LIMIT) -> None:
        self._left = elements
        self._rounds = MAX_ROUNDS

    def spend(self, amount: int) -> None:
        """Count `amount` elements. Raises Fault when the allowance is used up."""
        self._left -= amount
        if self._left <= 0:
            raise Fault("memory budget exceeded")

    def round(self) -> None:
        """Count a round of a predicate. Raises Fault when there were too many."""
        self._rounds -= 1
        if self._rounds < 0:
            raise Fault(f"more than {MAX_ROUNDS} rounds of predicates in one evaluation")


def check_text_size(chars: int) -> None:
    """Raises Fault when a text of `chars` characters would be too large to build."""
    if chars > MAX_TEXT_CHARS:
        raise Fault("memory budget exceeded")
