"""The operation `notify.send`: tell somebody, on this machine's desktop or through a webhook.

Registered by `registry.py`. `AWF_TEST_MODE=1` checks everything and sends nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from awf_core.engine.operations import OperationFailed, OperationResult
from awf_core.engine.operations.notification import Notification
from awf_core.engine.operations.notify_desktop import send_desktop
from awf_core.engine.operations.notify_webhook import send_webhook
from awf_core.lang.go.quoting import quoted
from awf_core.lang.go.text import type_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from awf_core.engine.outward.context import OutwardContext

PRIORITIES = ("low", "default", "high")
_DEFAULT_TITLE = "AWF Workflow"


Send = Callable[[Notification, "OutwardContext"], tuple[int, str]]
"""Returns a status and the answer's text; raises OperationFailed with the reason alone."""

_BACKENDS: dict[str, Send] = {"desktop": send_desktop, "webhook": send_webhook}


class NotifySend:
    """Inputs: `message`, `backend`, `title`, `priority`, `webhook_url`."""

    def __init__(self, default_backend: str | None) -> None:
        self._default_backend = default_backend or ""

    def run(self, inputs: Mapping[str, Any], context: OutwardContext) -> OperationResult:
        """Send the message. Raises OperationFailed when it was not accepted."""
        try:
            backend, notification = self._read(inputs)
        except OperationFailed as problem:
            raise OperationFailed(f"notify.send: {problem.text}", outputs={}) from problem
        try:
            status, answer = _BACKENDS[backend](notification, context)
        except OperationFailed as problem:
            text = f"notify.send: backend {quoted(backend)} failed: {problem.text}"
            raise OperationFailed(text, outputs={}) from problem
        context.log("info", "notification sent")
        return OperationResult(outputs={"backend": backend, "status": status, "response": answer})

    def _read(self, inputs: Mapping[str, Any]) -> tuple[str, Notification]:
        backend = _text(inputs, "backend") or self._default_backend
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
