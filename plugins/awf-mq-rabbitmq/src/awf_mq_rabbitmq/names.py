"""The names of queues that the backend makes for itself. Pure.

Beside a queue `q` there may be `q.retry.5000`: messages wait in it for five seconds, then go back to `q`. And
`q.alive.<key>`: notices of workers that lost a message of `q` and live.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

PRIVATE_REPLY_PATTERN = r"awf-reply-[0-9a-f]{32}"
DIRECT = "amq.rabbitmq.reply-to"
"""The broker's own address for replies without a queue. A requester's address begins with this and a dot."""
RETRY_PATTERN = r".+\.retry\.\d+"
ALIVE_PATTERN = r".+\.alive\.[0-9a-f]{32}"
RESERVED = (re.escape(DIRECT), RETRY_PATTERN, ALIVE_PATTERN)
"""Patterns of names to which nothing is published by name; for `Capabilities.reserved_names`."""

MAX_EXCHANGE_BYTES = 255

_PRIVATE_REPLY = re.compile(PRIVATE_REPLY_PATTERN)
_RETRY = re.compile(RETRY_PATTERN, re.DOTALL)


def is_direct(queue: str) -> bool:
    """Whether `queue` is a requester's address of the broker's direct reply-to."""
    return queue.startswith(DIRECT + ".")


def is_private_reply_queue(queue: str) -> bool:
    """Whether `queue` has the name of one that a requester declared for itself."""
    return _PRIVATE_REPLY.fullmatch(queue) is not None


def retry_queue(queue: str, delay_ms: int) -> str:
    """The queue in which messages of `queue` wait for `delay_ms`."""
    return f"{queue}.retry.{delay_ms}"


def alive_queue(queue: str, key: str) -> str:
    """The queue with notices about the message of `queue` that `key` names."""
    return f"{queue}.alive.{key}"


def role_exchange(queue: str, role: str) -> str:
    """The exchange whose presence says what `queue` is for."""
    name = f"awf.role.{role}.{queue}"
    if len(name.encode("utf-8", "replace")) <= MAX_EXCHANGE_BYTES:
        return name
    return f"awf.role.{role}.{hashlib.sha256(queue.encode('utf-8', 'replace')).hexdigest()}"


def is_retry_queue(name: str) -> bool:
    """Whether `name` is that of a retry queue."""
    return _RETRY.fullmatch(name) is not None


def rounded_up_ms(delay_s: float, delays_s: Sequence[float]) -> int:
    """The shortest of `delays_s` that is not shorter than `delay_s`, in milliseconds; the longest where none is."""
    return round(next((each for each in delays_s if each >= delay_s), delays_s[-1]) * 1000)
