"""The state of one evaluation: its scope, its variables and its budget.

Made per evaluation and never shared between threads, so that expressions can be. The original engine lets an evaluation
allocate a million array elements. Here the rounds of predicates have a limit of their own as well, so that no
expression can keep a worker busy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from awf_core.lang.expressions.errors import Fault
from awf_core.lang.scope import Scope

Code: TypeAlias = Callable[["Frame"], object]

LIMIT = 1_000_000
MAX_ROUNDS = 1_000_000
MAX_WALK = 300_000
MAX_TEXT_CHARS = 16_000_000


class Frame:
    """Scope, budget, the values of `let` names, and what `#`, `#index`, `#acc` stand for at the moment."""

    __slots__ = ("acc", "budget", "index", "item", "scope", "variables")

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.budget = Budget()
        self.variables: dict[str, object] = {}
        self.item: object = None
        self.index = 0
        self.acc: object = None


class Budget:
    """What is left of both limits. Comparing and writing a value take a budget of their own, of `MAX_WALK` elements."""

    __slots__ = ("_left", "_rounds")

    def __init__(self, elements: int = LIMIT) -> None:
        self._left = elements
        self._rounds = MAX_ROUNDS

    def spend(self, amount: int) -> None:
        """Count `amount` elements. Raises Fault when none are left."""
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
