"""What cases do over and over, each failing with a sentence: send, take, settle, look. Used by the kit's cases.

Plain functions over `Mq`; no waiting but for deliveries.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from awf_core.contract import Ack, DeadLetter, Delivery, Nack, Outgoing
from awf_core.errors import BrokerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from awf_core.contract import QueueItem
    from awf_core.errors import BrokerError
    from awf_core.mq import Mq

QUIET_S = 0.2
"""How long a queue is watched before it counts as quiet."""

TAKE_S = 15.0
ANSWER_S = 10.0
DRAIN_S = 60.0
RETRY_S = 0.05


def numbered(count: int) -> list[bytes]:
    """`count` bodies that differ: b"0", b"1", …"""
    return [b"%d" % number for number in range(count)]


def send(mq: Mq, queue: str, *bodies: bytes, delay_s: float = 0.0) -> None:
    """Publish bodies; every one has to be accepted."""
    publish(mq, *(Outgoing(queue=queue, body=body, delay_s=delay_s) for body in bodies))


def publish(mq: Mq, *messages: Outgoing) -> None:
    """Publish; every message has to be accepted."""
    results = list(mq.publish(messages))
    assert results == [None] * len(messages), f"publish answered {results}"


def take(mq: Mq, queue: str, count: int = 1, *, within_s: float = TAKE_S, limit: int | None = None) -> list[Delivery]:
    """Exactly the next `count` deliveries, in as many consumes as it takes."""
    taken: list[Delivery] = []
    end = time.monotonic() + within_s
    while len(taken) < count:
        left_s = end - time.monotonic()
        assert left_s > 0, f"{len(taken)} of {count} deliveries from {queue} within {within_s} s"
        asked = min(limit or count, count - len(taken))
        got = mq.consume(queue, limit=asked, wait_s=min(left_s, 2.0))
        assert len(got) <= asked, f"consume(limit={asked}) returned {len(got)} deliveries"
        taken += got
    return taken


def take_one(mq: Mq, queue: str, *, within_s: float = TAKE_S) -> Delivery:
    """The next delivery."""
    return take(mq, queue, 1, within_s=within_s)[0]


def assert_quiet(mq: Mq, queue: str, *, for_s: float = QUIET_S) -> None:
    """Nothing can be taken from `queue` for that long."""
    came = mq.consume(queue, limit=10, wait_s=for_s)
    assert not came, f"{queue} should be quiet, and handed out {[(d.body[:60], d.deliveries) for d in came]}"


def ack(mq: Mq, *deliveries: Delivery, replies: Sequence[Outgoing] = ()) -> None:
    """Acknowledge; the broker has to take it. `replies` go with the first."""
    acks = [Ack(delivery=d, replies=replies if n == 0 else ()) for n, d in enumerate(deliveries)]
    results = list(mq.ack(acks))
    assert results == [None] * len(acks), f"ack answered {results}"


def nack(mq: Mq, *deliveries: Delivery, delay_s: float = 0.0, is_counted: bool = True) -> None:
    """Give back; the broker has to take it."""
    nacks = [Nack(delivery=d, delay_s=delay_s, counted=is_counted, reason="kit") for d in deliveries]
    results = list(mq.nack(nacks))
    assert results == [None] * len(nacks), f"nack answered {results}"


def bury(mq: Mq, delivery: Delivery, queue: str, *, replies: Sequence[Outgoing] = (), reason: str = "kit") -> None:
    """Dead-letter; the broker has to take it."""
    letter = DeadLetter(
        delivery=delivery,
        queue=queue,
        reason=reason,
        error="the kit says so",
        history=[{"attempt": delivery.attempt, "reason": reason}],
        replies=replies,
    )
    results = list(mq.dead_letter([letter]))
    assert results == [None], f"dead_letter answered {results}"


def answered(
    call: Callable[[], Sequence[BrokerError | None]], *, within_s: float = ANSWER_S
) -> list[BrokerError | None]:
    """The broker's word on a settlement, asked again while it can't be reached, as the worker does."""
    end = time.monotonic() + within_s
    while True:
        try:
            results = list(call())
        except BrokerUnavailable as error:
            results = [error]
        if not any(isinstance(result, BrokerUnavailable) for result in results) or time.monotonic() > end:
            return results
        time.sleep(RETRY_S)


def drain(mq: Mq, queue: str, *, for_s: float = QUIET_S) -> list[bytes]:
    """Take and acknowledge until the queue is quiet; the bodies, duplicates included."""
    bodies: list[bytes] = []
    end = time.monotonic() + DRAIN_S
    while got := mq.consume(queue, limit=50, wait_s=for_s):
        ack(mq, *got)
        bodies += [delivery.body for delivery in got]
        assert time.monotonic() < end, f"{queue} never runs dry: {len(bodies)} deliveries in {DRAIN_S} s"
    return bodies


def finish(mq: Mq, queue: str, count: int = 1) -> list[bytes]:
    """Take and acknowledge exactly `count` messages, no more of which may be there; their bodies, sorted."""
    deliveries = take(mq, queue, count)
    ack(mq, *deliveries)
    assert_quiet(mq, queue)
    return sorted(delivery.body for delivery in deliveries)


def browse_all(mq: Mq, queue: str) -> list[QueueItem]:
    """Every message of `queue`, page by page."""
    items: list[QueueItem] = []
    after: str | None = None
    while True:
        page = mq.browse(queue, limit=50, after=after)
        items += page.items
        after = page.next
        if after is None:
            return items
