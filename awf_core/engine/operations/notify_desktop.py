"""Show a notification on this machine's desktop, with the program the system has for it. Called by `notify.send`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from awf_core.engine.allowance import CANCELLED_TEXT, DEADLINE_TEXT
from awf_core.engine.operations import OperationFailed
from awf_core.engine.operations.notification import Notification, is_test_mode
from awf_core.engine.outward.program import ProgramMissing, run_program, text_of

if TYPE_CHECKING:
    from awf_core.engine.outward.context import OutwardContext

LIMIT_S = 5.0
"""The program waits for a desktop that may not be there."""
_URGENCY = {"low": "low", "default": "normal", "high": "critical"}


def send_desktop(notification: Notification, context: OutwardContext) -> tuple[int, str]:
    """The program's exit code and what it said. Raises OperationFailed."""
    if is_test_mode(context):
        return 0, "test mode: notification not sent"
    try:
        finished = run_program(_argv(notification), context, limit_s=LIMIT_S)
    except ProgramMissing as problem:
        raise OperationFailed(f"desktop notification failed: {problem} (output: )") from problem
    said = (text_of(finished.stdout) + text_of(finished.stderr)).strip()
    if finished.end in ("timeout", "cancelled"):
        reason = DEADLINE_TEXT if finished.end == "timeout" else CANCELLED_TEXT
        raise OperationFailed(f"context error during notification: {reason}")
    if finished.failure is not None or finished.exit_code:
        why = finished.problem or f"exit status {finished.exit_code}"
        raise OperationFailed(f"desktop notification failed: {why} (output: {said})")
    return 0, said or f"notification sent via {sys.platform}"


def _argv(notification: Notification) -> list[str]:
    if sys.platform == "darwin":
        title, message = (_apple_text(text) for text in (notification.title, notification.message))
        return ["osascript", "-e", f"display notification {message} with title {title}"]
    return ["notify-send", "-u", _URGENCY[notification.priority], notification.title, notification.message]


def _apple_text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
