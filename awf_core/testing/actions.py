"""What most cases do: send, take, settle, browse. Each fails with a sentence. Plain functions over `Mq`."""

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
"""How long a consume without deliveries shows that a queue is empty."""

TAKE_S = 15.0
ANSWER_S = 10.0
DRAIN_S = 60.0
RETRY_S = 0.05


def assert_counters(mq: Mq, delivery: Delivery, *, attempt: int | None = None, deliveries: int | None = None) -> None:
    """Check the counters of `delivery` where the backend counts exactly; None = any."""
    if mq.capabilities.attempts == "exact":
        expected = {"attempt": attempt, "deliveries": deliveries}
        actual = {name: None if expected[name] is None else getattr(delivery, name) for name in expected}
        assert actual == expected, f"counters of {delivery.body!r}: expected {expected}, got {actual}"


def assert_took(took_s: float, *, at_least_s: float = 0.0, less_than_s: float = float("inf")) -> None:
    """Check a duration in seconds."""
    assert took_s >= at_least_s, f"expected at least {at_least_s:.2f} s, took {took_s:.2f} s"
    assert took_s < less_than_s, f"expected less than {less_than_s:.2f} s, took {took_s:.2f} s"


def numbered(count: int) -> list[bytes]:
    """`count` different bodies: b"0", b"1", …"""
    return [b"%d" % number for number in range(count)]


def send(mq: Mq, queue: str, *bodies: bytes, delay_s: float = 0.0) -> None:
    """Publish bodies. Fails unless the broker accepts all."""
    publish(mq, *(Outgoing(queue=queue, body=body, delay_s=delay_s) for body in bodies))


def publish(mq: Mq, *messages: Outgoing) -> None:
    """Publish messages. Fails unless the broker accepts all."""
    results = list(mq.publish(messages))
    assert results == [None] * len(messages), f"publish: expected {len(messages)} times None, got {results}"


def take(mq: Mq, queue: str, count: int = 1, *, within_s: float = TAKE_S, limit: int | None = None) -> list[Delivery]:
    """Exactly the next `count` deliveries, in as many consumes as needed."""
    taken: list[Delivery] = []
    end = time.monotonic() + within_s
    while len(taken) < count:
        left_s = end - time.monotonic()
        assert left_s > 0, f"expected {count} deliveries from {queue} within {within_s} s, got {len(taken)}"
        asked = min(limit or count, count - len(taken))
        got = mq.consume(queue, limit=asked, wait_s=min(left_s, 2.0))
        assert len(got) <= asked, f"consume(limit={asked}): expected at most {asked} deliveries, got {len(got)}"
        taken += got
    return taken


def take_one(mq: Mq, queue: str, *, within_s: float = TAKE_S) -> Delivery:
    """The next delivery."""
    return take(mq, queue, 1, within_s=within_s)[0]


def assert_quiet(mq: Mq, queue: str, *, for_s: float = QUIET_S, why: str = "") -> None:
    """Fails when a consume of `queue` gets a delivery within `for_s` seconds; `why` says when there is none."""
    came = [(delivery.body[:60], delivery.deliveries) for delivery in mq.consume(queue, limit=10, wait_s=for_s)]
    when = f"{why}: " if why else ""
    assert not came, f"{when}expected no delivery from {queue}, got (body, deliveries): {came}"


def ack(mq: Mq, *deliveries: Delivery, replies: Sequence[Outgoing] = ()) -> None:
    """Acknowledge. Fails unless the broker accepts all. `replies` are those of the first."""
    acks = [Ack(delivery=d, replies=replies if n == 0 else ()) for n, d in enumerate(deliveries)]
    results = list(mq.ack(acks))
    assert results == [None] * len(acks), f"ack: expected {len(acks)} times None, got {results}"


def nack(mq: Mq, *deliveries: Delivery, delay_s: float = 0.0, is_counted: bool = True) -> None:
    """Nack, with a history as the core writes it. Fails unless the broker accepts all. `is_counted=False` releases."""
    nacks = [
        Nack(delivery=d, delay_s=delay_s, counted=is_counted, reason="kit", history=history_after(d, is_counted))
        for d in deliveries
    ]
    results = list(mq.nack(nacks))
    assert results == [None] * len(nacks), f"nack: expected {len(nacks)} times None, got {results}"


def history_after(delivery: Delivery, is_counted: bool) -> list[dict[str, object]]:  # noqa: FBT001 - as in Nack
    """The history that the core stores with a nack of `delivery`: one more entry where it counts."""
    entries = [dict(entry) for entry in delivery.history]
    return [*entries, {"attempt": delivery.attempt, "reason": "kit"}] if is_counted else entries


def dead_letter(
    mq: Mq, delivery: Delivery, queue: str, *, replies: Sequence[Outgoing] = (), reason: str = "kit"
) -> None:
    """Dead-letter. Fails unless the broker accepts it."""
    item = DeadLetter(
        delivery=delivery,
        queue=queue,
        reason=reason,
        error="the kit says so",
        history=[*delivery.history, {"attempt": delivery.attempt, "reason": reason}],
        replies=replies,
    )
    results = list(mq.dead_letter([item]))
    assert results == [None], f"dead_letter: expected None, got {results}"


def answered(
    call: Callable[[], Sequence[BrokerError | None]], *, within_s: float = ANSWER_S
) -> list[BrokerError | None]:
    """The answer to a settlement, called again while the broker is unavailable, as the worker does."""
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
    """Consume and acknowledge until the queue is empty; the bodies, duplicates included."""
    bodies: list[bytes] = []
    end = time.monotonic() + DRAIN_S
    while got := mq.consume(queue, limit=50, wait_s=for_s):
        ack(mq, *got)
        bodies += [delivery.body for delivery in got]
        assert time.monotonic() < end, f"expected {queue} to become empty, got {len(bodies)} deliveries in {DRAIN_S} s"
    return bodies


def finish(mq: Mq, queue: str, count: int = 1) -> list[bytes]:
    """Consume and acknowledge `count` messages; their bodies, sorted. Fails when the queue has more."""
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
