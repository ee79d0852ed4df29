"""The state of one evaluation. Made per evaluation, so expressions can be shared between threads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from awf_core.lang.expressions.budget import Budget

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from awf_core.lang.scope import Scope

    Code: TypeAlias = Callable[["Frame"], object]


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
