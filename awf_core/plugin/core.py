"""The core's own hook implementations, registered like any plugin's. Called by the manager; they come last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from awf_core.hookspecs import hookimpl
from awf_core.result import format_result

if TYPE_CHECKING:
    from awf_core.contract import Delivery, Formatted
    from awf_core.message import Message
    from awf_core.result import Outcome

CORE = "awf_core"


class CorePlugin:
    """Answers the hooks that need an answer, when no plugin gave one."""

    @hookimpl(trylast=True)
    def awf_format_result(self, delivery: Delivery, message: Message | None, outcome: Outcome) -> Formatted:
        """The result as JSON."""
        return format_result(delivery, message, outcome)
