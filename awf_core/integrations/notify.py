"""The operation `notify.send`: notify a person on this machine's desktop, or through a webhook.

Registered by `awf_core.integrations`. `AWF_TEST_MODE=1` checks everything and sends nothing. The address of a webhook
may hold a secret, so no error shows it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from awf_core.engine.process.program import ProgramMissing, run_program, text_of
from awf_core.extensions.deadline import CANCELLED_TEXT, DEADLINE_TEXT
from awf_core.extensions.operations import OperationFailed, OperationResult
from awf_core.lang.go.quoting import quoted
from awf_core.lang.go.text import type_name
from awf_core.lang.templates.json_text import to_json

if TYPE_CHECKING:
    from awf_core.extensions.outward import OutwardContext
    from awf_core.integrations.http_exchange import Request

PRIORITIES = ("low", "default", "high")
_DEFAULT_TITLE = "AWF Workflow"
DESKTOP_LIMIT_S = 5.0
"""The program waits for a desktop that may not be there."""
_URGENCY = {"low": "low", "default": "normal", "high": "critical"}
WEBHOOK_LIMIT_S = 10.0
MAX_ANSWER_BYTES = 1024 * 1024
TEST_ANSWER = "test mode: HTTP request not sent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """What is sent. `webhook_url` is empty for other backends."""

    title: str
    message: str
    priority: str
    webhook_url: str = ""


class NotifySend:
    """Inputs: `message`, `backend`, `title`, `priority`, `webhook_url`.

    `backend` is the project's `notify.default_backend` where the state names none.
    """

    def run(self, inputs: Mapping[str, Any], context: OutwardContext) -> OperationResult:
        """Send the message. Raises OperationFailed when it was not accepted."""
        try:
            backend, notification = _read(inputs, context.settings.get("notify.default_backend", ""))
        except OperationFailed as problem:
            raise OperationFailed(f"notify.send: {problem.text}", outputs={}) from problem
        try:
            status, answer = _BACKENDS[backend](notification, context)
        except OperationFailed as problem:
            text = f"notify.send: backend {quoted(backend)} failed: {problem.text}"
            raise OperationFailed(text, outputs={}) from problem
        context.log("info", "notification sent")
        return OperationResult(outputs={"backend": backend, "status": status, "response": answer})


def _read(inputs: Mapping[str, Any], default_backend: str) -> tuple[str, Notification]:
    backend = _text(inputs, "backend") or default_backend
    if not backend:
        raise OperationFailed("no backend specified and no default backend configured")
    if "message" not in inputs:
        raise OperationFailed('required input "message" is missing')
    message = _text(inputs, "message")
    priority = _lenient(inputs, "priority") or "default"
    if priority not in PRIORITIES:
        raise OperationFailed(f"invalid priority {quoted(priority)} (must be: {', '.join(PRIORITIES)})")
    if backend not in _BACKENDS:
        available = " ".join(sorted(_BACKENDS))
        raise OperationFailed(f"backend {quoted(backend)} not available (available: [{available}])")
    url = _text(inputs, "webhook_url") if backend == "webhook" else ""
    if backend == "webhook" and not url:
        raise OperationFailed(f"backend {quoted(backend)} requires 'webhook_url' input")
    title = _lenient(inputs, "title") or _DEFAULT_TITLE
    return backend, Notification(title=title, message=message, priority=priority, webhook_url=url)


def _text(inputs: Mapping[str, Any], name: str) -> str:
    if name not in inputs:
        return ""
    value = inputs[name]
    if not isinstance(value, str):
        raise OperationFailed(f"input {quoted(name)} must be a string, got {type_name(value)}")
    return value.strip()


def _lenient(inputs: Mapping[str, Any], name: str) -> str:
    """A text that falls back to its default when it is none."""
    value = inputs.get(name)
    return value.strip() if isinstance(value, str) else ""


def _is_test_mode(context: OutwardContext) -> bool:
    """Whether nothing may really be sent."""
    return context.env.get("AWF_TEST_MODE") == "1"


def _send_desktop(notification: Notification, context: OutwardContext) -> tuple[int, str]:
    """The program's exit code and what it said. Raises OperationFailed."""
    if _is_test_mode(context):
        return 0, "test mode: notification not sent"
    try:
        finished = run_program(_desktop_argv(notification), context, limit_s=DESKTOP_LIMIT_S)
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


def _desktop_argv(notification: Notification) -> list[str]:
    if sys.platform == "darwin":
        title, message = (_apple_text(text) for text in (notification.title, notification.message))
        return ["osascript", "-e", f"display notification {message} with title {title}"]
    return ["notify-send", "-u", _URGENCY[notification.priority], notification.title, notification.message]


def _apple_text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _send_webhook(notification: Notification, context: OutwardContext) -> tuple[int, str]:
    """The status and the body of the answer. Raises OperationFailed, also for a status that is not 2xx."""
    if _is_test_mode(context):
        return 200, TEST_ANSWER
    # Here, because a notification on the desktop needs no HTTP library.
    from awf_core.integrations.http_exchange import ExchangeCancelled, ExchangeFailed, ExchangeTimeout, exchange

    try:
        response = exchange(_webhook_request(notification), context.deadline, limit_s=WEBHOOK_LIMIT_S)
    except ExchangeTimeout as problem:
        raise OperationFailed(_unsent(DEADLINE_TEXT)) from problem
    except ExchangeCancelled as problem:
        raise OperationFailed(_unsent(CANCELLED_TEXT)) from problem
    except ExchangeFailed as problem:
        raise OperationFailed(_unsent(str(problem).replace(notification.webhook_url, "***"))) from problem
    if not 200 <= response.status < 300:
        raise OperationFailed("webhook returned non-2xx status code")
    return response.status, response.body


def _webhook_request(notification: Notification) -> Request:
    from awf_core.integrations.http_exchange import Request

    content = {"title": notification.title, "message": notification.message, "priority": notification.priority}
    return Request(
        method="POST",
        url=notification.webhook_url,
        headers={"Content-Type": "application/json"},
        body=to_json(content),
        max_body_bytes=MAX_ANSWER_BYTES,
    )


def _unsent(reason: str) -> str:
    return f"failed to send webhook notification: {reason}"


Send = Callable[[Notification, "OutwardContext"], tuple[int, str]]
"""Returns a status and the answer's text; raises OperationFailed with the reason alone."""

_BACKENDS: dict[str, Send] = {"desktop": _send_desktop, "webhook": _send_webhook}
