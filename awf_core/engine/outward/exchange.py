"""One HTTP request and its answer, within a step's time and cancel, redirects followed.

Called by `http.request`, `notify.send` and the HTTP agent provider. Retries nothing. What it takes to do it is imported
with the first request: most workers make none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from awf_core.engine.allowance import Allowance


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is sent. `max_body_bytes` bounds what is read of the answer."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    max_body_bytes: int = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What came back. Header names are canonical (`Content-Type`); several values of one are joined by `, `."""

    status: int
    headers: Mapping[str, str]
    body: str
    is_truncated: bool = False


class ExchangeTimeout(Exception):
    """The time for it was over."""


class ExchangeCancelled(Exception):
    """The run was asked to stop."""


class ExchangeFailed(Exception):
    """There was no answer; the text says why, without headers or bodies."""


def exchange(request: Request, allowance: Allowance, *, limit_s: float | None) -> Response:
    """Send `request` and read the answer, `limit_s` at most (None = no limit) and never past the allowance.

    Raises ExchangeTimeout, ExchangeCancelled or ExchangeFailed. Any status is an answer.
    """
    if allowance.cancel.requested:
        raise ExchangeCancelled
    limits_s = [limit for limit in (limit_s, allowance.left_s()) if limit is not None]
    wait_s = min(limits_s) if limits_s else None
    if wait_s is not None and wait_s <= 0:
        raise ExchangeTimeout
    from awf_core.engine.outward.http_loop import exchange_within

    return exchange_within(request, allowance, wait_s)
