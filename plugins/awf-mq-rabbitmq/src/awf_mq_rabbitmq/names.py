"""Names: which names a queue may have, and what the queues that go with it are called. Pure.

Beside a queue `q` there may be `q.retry.5000`, which holds messages for five seconds and gives them back to `q`.
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING

from awf_core.errors import BrokerError, BrokerMisconfigured, Unroutable

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_NAME_BYTES = 255
DIRECT = "amq.rabbitmq.reply-to"
"""The broker's own address for answers without a queue; what it hands out begins with this and a dot."""

_RETRY = re.compile(r"(?P<queue>.+)\.retry\.(?P<delay_ms>\d+)", re.DOTALL)


def bad_queue_name(queue: str, where: str) -> BrokerError | None:
    """Why nothing can be published to a queue of this name; None when something can."""
    if queue == DIRECT:
        return Unroutable(
            f"{where}: {DIRECT!r} is no address: the broker puts the real one into the property reply_to",
            hint="leave reply_to out of the body, and set it as a message property only",
        )
    if len(queue) > 0 and is_short(queue):
        return None
    return Unroutable(
        f"{where}: {queue[:80]!r} can't be the name of a queue",
        hint=f"use 1 to {MAX_NAME_BYTES} bytes of valid UTF-8",
    )


def is_direct(queue: str) -> bool:
    """Whether `queue` is an address of the broker's direct reply-to."""
    return queue.startswith(DIRECT + ".")


def is_short(text: str) -> bool:
    """Whether `text` fits where AMQP wants a short string."""
    try:
        return len(text.encode()) <= MAX_NAME_BYTES and "\0" not in text
    except UnicodeEncodeError:
        return False


def retry_queue(queue: str, delay_ms: int) -> str:
    """The queue that gives back to `queue` what it held for `delay_ms`."""
    return f"{queue}.retry.{delay_ms}"


def is_retry_queue(name: str) -> bool:
    """Whether `name` is that of such a queue."""
    return _RETRY.fullmatch(name) is not None


def bucket_ms(delay_s: float, delays_s: Sequence[float]) -> int | None:
    """The shortest delay there is that is not shorter than `delay_s`, in milliseconds; None = none is that long."""
    return next((round(each * 1000) for each in delays_s if each >= delay_s), None)


def too_long(delay_s: float, delays_s: Sequence[float], where: str) -> BrokerError:
    """The error for a delay longer than any."""
    return BrokerMisconfigured(
        f"{where}: delay_s is {delay_s}, and the longest delay there is a queue for is {delays_s[-1]:.0f} s",
        hint="add a longer one to mq.rabbitmq.delays",
    )


def reply_queue_name() -> str:
    """A name nobody guesses."""
    return f"awf-reply-{secrets.token_hex(16)}"
