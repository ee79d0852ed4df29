"""The operation `http.request`: one request, any status is an answer.

Registered by `awf_core.integrations`. It retries nothing: `retryable_status_codes` only names the answers that are
failures.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from awf_core.extensions.operations import OperationResult
from awf_core.extensions.outward import OutwardContext
from awf_core.integrations.http_exchange import (
    ExchangeCancelled,
    ExchangeFailed,
    ExchangeTimeout,
    Request,
    Response,
    exchange,
)
from awf_core.lang.go.durations import SECOND_NS, duration_text

MAX_S = 30.0
MAX_BODY_BYTES = 1024 * 1024
METHODS = ("GET", "POST", "PUT", "DELETE")
_NAME = "http.request"


class HttpRequest:
    """Inputs: `url`, `method`, `headers`, `body`, `timeout` (seconds, a number), `retryable_status_codes`."""

    def run(self, inputs: Mapping[str, Any], context: OutwardContext) -> OperationResult:
        """Send the request. Everything that goes wrong is a result."""
        if (rejection := _rejection(inputs)) is not None:
            return OperationResult(error=f"{_NAME}: {rejection}")
        timeout_s = _timeout_s(inputs.get("timeout"))
        try:
            response = exchange(_request(inputs), context.deadline, limit_s=min(timeout_s or MAX_S, MAX_S))
        except ExchangeTimeout:
            after = f" after {duration_text(timeout_s * SECOND_NS)}" if timeout_s else ""
            return OperationResult(error=f"{_NAME}: request timeout{after}")
        except ExchangeCancelled:
            return OperationResult(error=f"{_NAME}: request cancelled")
        except ExchangeFailed as problem:
            return OperationResult(error=f"{_NAME}: {problem}")
        return _result(response, inputs.get("retryable_status_codes"))


def _rejection(inputs: Mapping[str, Any]) -> str | None:
    url, method = inputs.get("url"), inputs.get("method")
    if not isinstance(url, str) or not url:
        return "url is required and must be a non-empty string"
    if not url.startswith(("http://", "https://")):
        return "url must start with http:// or https://"
    if method is None:
        return None
    if not isinstance(method, str) or not method:
        return "method is required and must be a non-empty string"
    return None if method.upper() in METHODS else f"method must be one of: {', '.join(METHODS)}"


def _request(inputs: Mapping[str, Any]) -> Request:
    headers, body = inputs.get("headers"), inputs.get("body")
    pairs = headers.items() if isinstance(headers, dict) else ()
    return Request(
        method=(inputs.get("method") or "GET").upper(),
        url=inputs["url"],
        headers={str(name): value for name, value in pairs if isinstance(value, str)},
        body=body if isinstance(body, str) else "",
        max_body_bytes=MAX_BODY_BYTES,
    )


def _timeout_s(given: object) -> int:
    """Whole seconds; 0 for what is no positive number, texts included."""
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        return 0
    return int(given) if 0 < given < float("inf") else 0


def _result(response: Response, retryable: object) -> OperationResult:
    outputs = {
        "status_code": response.status,
        "body": response.body,
        "headers": dict(response.headers),
        "body_truncated": response.is_truncated,
    }
    codes = [int(code) for code in retryable if _is_number(code)] if isinstance(retryable, list) else []
    error = f"{_NAME}: retryable status code {response.status}" if response.status in codes else ""
    return OperationResult(outputs=outputs, error=error)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
