"""Names and URLs of queues, and what a URL says about its endpoint. Pure.

A queue is named by its name (`awf-workflows`) or its URL (`https://sqs.eu-west-1.amazonaws.com/123456789012/q`);
`queues.py` finds the URL of a name.
"""

from __future__ import annotations

import re
import secrets
from urllib.parse import urlsplit

FIFO_SUFFIX = ".fifo"
MAX_NAME_BYTES = 1024
"""For the longest URL; a name has 80 characters at most."""

_NAME = re.compile(r"(?=.{1,80}\Z)[A-Za-z0-9_-]+(?:\.fifo)?")
_AWS_HOST = re.compile(
    r"(?:sqs(?:-fips)?\.([a-z0-9-]+)\.(?:amazonaws\.com(?:\.cn)?|api\.aws)"  # sqs.eu-west-1.amazonaws.com
    r"|([a-z0-9-]+)\.queue\.amazonaws\.com"  # the older form
    r"|vpce-[a-z0-9-]+\.sqs\.([a-z0-9-]+)\.vpce\.amazonaws\.com(?:\.cn)?)"
)
_REPLY_QUEUE = re.compile(r"awf-reply-([0-9a-f]{9})-[0-9a-f]{24}")
REPLY_PREFIX = "awf-reply-"


def is_url(queue: str) -> bool:
    """Whether `queue` is given as a URL."""
    return queue.startswith(("http://", "https://"))


def name_of(queue: str) -> str:
    """The name in a URL, or `queue` itself."""
    return urlsplit(queue).path.rpartition("/")[2] if is_url(queue) else queue


def account_of(url: str) -> str | None:
    """The account in a queue's URL; None where it has none."""
    parts = urlsplit(url).path.strip("/").split("/")
    return parts[-2] if len(parts) >= 2 else None


def region_of(url: str) -> str | None:
    """The region that an AWS URL names; None for another endpoint, and for AWS's URLs without a region."""
    found = _AWS_HOST.fullmatch((urlsplit(url).hostname or "").lower())
    return next((group for group in found.groups() if group), None) if found else None


def is_aws(url: str) -> bool:
    """Whether the host of `url` is AWS's."""
    host = (urlsplit(url).hostname or "").lower()
    return host.endswith((".amazonaws.com", ".amazonaws.com.cn", ".api.aws"))


def endpoint_of(url: str) -> str | None:
    """The endpoint of a queue's URL where that has to be named: not AWS's regular one, which the region names."""
    parts = urlsplit(url)
    is_private_link = ".vpce." in (parts.hostname or "")
    return f"{parts.scheme}://{parts.netloc}" if not is_aws(url) or is_private_link else None


def same_endpoint(url: str, other: str) -> bool:
    """Whether two URLs of queues are of one endpoint: the same host, or AWS's in the same region."""
    if urlsplit(url).netloc.lower() == urlsplit(other).netloc.lower():
        return True
    return is_aws(url) and is_aws(other) and region_of(url) is not None and region_of(url) == region_of(other)


def is_fifo(queue: str) -> bool:
    """Whether `queue` is a FIFO queue: its name says so."""
    return name_of(queue).endswith(FIFO_SUFFIX)


def name_problem(queue: str) -> str | None:
    """Why no queue can have this name or URL; None when one can."""
    if is_url(queue):
        parts = urlsplit(queue)
        if not parts.hostname or parts.query or parts.fragment or parts.username:
            return "a queue's URL is https://HOST/ACCOUNT/NAME"
        if account_of(queue) is None:
            return "the URL has no account before the queue's name"
    if not _NAME.fullmatch(name_of(queue)):
        return "a queue's name has 1 to 80 letters, digits, hyphens and underscores; a FIFO queue's ends with .fifo"
    return None


def reply_queue_name(ends_s: float) -> str:
    """A name that no producer can guess. It holds the epoch second at which the queue may be deleted."""
    return f"{REPLY_PREFIX}{int(ends_s):09x}-{secrets.token_hex(12)}"


def reply_queue_ends_s(queue: str) -> int | None:
    """When a private reply queue ends, in epoch seconds of the broker's clock; None for any other queue."""
    found = _REPLY_QUEUE.fullmatch(name_of(queue))
    return int(found[1], 16) if found else None
