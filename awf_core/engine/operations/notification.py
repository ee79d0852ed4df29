"""A notification on its way to one of its backends. Made by `notify.send`; a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from awf_core.engine.outward.context import OutwardContext


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """What is sent. `webhook_url` is empty for other backends."""

    title: str
    message: str
    priority: str
    webhook_url: str = ""


def is_test_mode(context: OutwardContext) -> bool:
    """Whether nothing may really be sent."""
    return context.env.get("AWF_TEST_MODE") == "1"
