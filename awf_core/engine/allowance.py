"""How long a piece of a run may still take, and whether it may go on at all.

Made by the runner for each state, read by steps and hooks. Thread-safe: nothing in it changes but the cancel
token.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from awf_core.clock import Clock
    from awf_core.engine.cancel import Cancel

DEADLINE_TEXT = "context deadline exceeded"
CANCELLED_TEXT = "context canceled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """A cancel token and a deadline in `Clock.monotonic()` seconds, None = no limit."""

    clock: Clock
    cancel: Cancel
    deadline: float | None = None

    def left_s(self) -> float | None:
        """Seconds left, 0 or less when they are over, None = no limit."""
        return None if self.deadline is None else self.deadline - self.clock.monotonic()

    def stop_text(self) -> str | None:
        """Why nothing may be started any more, in the words of the workflow language; None while it may."""
        if self.cancel.requested:
            return CANCELLED_TEXT
        left_s = self.left_s()
        return DEADLINE_TEXT if left_s is not None and left_s <= 0 else None

    def under(self, cancel: Cancel) -> Allowance:
        """The same deadline, with another stop button."""
        return replace(self, cancel=cancel)

    def sleep(self, seconds: float) -> str | None:
        """Wait; returns early, with the `stop_text`, when time is over or a stop was asked for."""
        left_s = self.left_s()
        wait_s = seconds if left_s is None else min(seconds, left_s)
        if self.cancel.wait(wait_s):
            return CANCELLED_TEXT
        return DEADLINE_TEXT if left_s is not None and left_s <= seconds else None


def sooner(allowance: Allowance, deadline: float) -> Allowance:
    """`allowance` with that deadline, unless its own comes first."""
    own = allowance.deadline
    return allowance if own is not None and own <= deadline else replace(allowance, deadline=deadline)
