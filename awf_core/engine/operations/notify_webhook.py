"""Post a notification to a webhook as JSON. Called by `notify.send`.

The address may hold a secret, so no error shows it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from awf_core.engine.allowance import CANCELLED_TEXT, DEADLINE_TEXT
from awf_core.engine.operations import OperationFailed
from awf_core.engine.operations.notification import Notification, is_test_mode
from awf_core.engine.outward.exchange import ExchangeCancelled, ExchangeFailed, ExchangeTimeout, Request, exchange
from awf_core.lang.templates.json_text import to_json

if TYPE_CHECKING:
    from awf_core.engine.outward.context import OutwardContext

LIMIT_S = 10.0
MAX_ANSWER_BYTES = 1024 * 1024
TEST_ANSWER = "test mode: HTTP request not sent"


def send_webhook(notification: Notification, context: OutwardContext) -> tuple[int, str]:
    """The status and the body of the answer. Raises OperationFailed, also for a status that is not 2xx."""
    if is_test_mode(context):
        return 200, TEST_ANSWER
    try:
        response = exchange(_request(notification), context.allowance, limit_s=LIMIT_S)
    except ExchangeTimeout as problem:
        raise OperationFailed(_unsent(DEADLINE_TEXT)) from problem
    except ExchangeCancelled as problem:
        raise OperationFailed(_unsent(CANCELLED_TEXT)) from problem
    except ExchangeFailed as problem:
        raise OperationFailed(_unsent(str(problem).replace(notification.webhook_url, "***"))) from problem
    if not 200 <= response.status < 300:
        raise OperationFailed("webhook returned non-2xx status code")
    return response.status, response.body


def _request(notification: Notification) -> Request:
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
