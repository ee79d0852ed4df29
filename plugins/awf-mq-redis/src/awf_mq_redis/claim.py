"""Claim messages: one script call for a batch, then a wait where there is none. Called by `backend.py`.

The script also claims what has become due by time: retries, delayed messages, messages whose lease ended. So no other
process has to run beside the workers.
"""

from __future__ import annotations

import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from awf_core.contract import Delivery, Nack
from awf_core.errors import BrokerError
from awf_core.units import span_ms
from awf_mq_redis.connection import MAX_BATCH, text
from awf_mq_redis.keys import reply_queue_ends_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from awf_core.clock import Clock
    from awf_mq_redis.connection import RedisConnection
    from awf_mq_redis.dead_letter import DeadMessageCounts
    from awf_mq_redis.keys import QueueKeys
    from awf_mq_redis.wait import Waiter


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The fencing token of a delivery. Ids are never used twice, not even after a FLUSHALL. A delivery whose lease
    ended can be settled until another worker claims the message.
    """

    queue: str
    id: str
    deliveries: int


def receipt_of(delivery: Delivery) -> Receipt | None:
    """The delivery's receipt; None for one of another backend."""
    return delivery.receipt if isinstance(delivery.receipt, Receipt) else None


class Claims:
    """Claims messages under leases of `lease_s` seconds. Thread-safe."""

    def __init__(
        self,
        connection: RedisConnection,
        waiter: Waiter,
        dead_messages: DeadMessageCounts,
        clock: Clock,
        *,
        lease_s: float,
        block_s: float,
        release: Callable[[Sequence[Nack]], object],
    ) -> None:
        self._connection = connection
        self._waiter = waiter
        self._dead_messages = dead_messages
        self._clock = clock
        self._lease_s = lease_s
        self._block_s = block_s
        self._release = release

    def consume(self, queue: str, limit: int, wait_s: float) -> list[Delivery]:
        """Up to `limit` deliveries; [] when `wait_s` is over or the waiter was stopped."""
        keys = self._connection.keys(queue)
        deadline = time.monotonic() + wait_s
        while limit > 0 and not self._waiter.is_stopped:
            next_s, deliveries = self._claim(queue, keys, min(limit, MAX_BATCH))
            if deliveries:
                return self._unless_stopped(deliveries)
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                break
            self._waiter.wait(keys, min(left_s, next_s, self._block_s))
        return []

    def _claim(self, queue: str, keys: QueueKeys, limit: int) -> tuple[float, list[Delivery]]:
        """The seconds until a message is due, and the claimed deliveries."""
        lease_until = self._clock.monotonic() + self._lease_s
        next_ms, found, emptied = self._connection.run(
            f"take messages from {queue!r}",
            "claim",
            keys.all,
            limit,
            span_ms(self._lease_s),
            secrets.token_hex(4),
            reply_queue_ends_ms(queue),
        )
        if emptied:
            # A failure here only leaves a count of zero to be read again, so the claimed messages are delivered.
            with suppress(BrokerError):
                self._dead_messages.forget(queue, emptied)
        next_s = float("inf") if next_ms < 0 else next_ms / 1000
        return next_s, [_delivery(queue, lease_until, *entry) for entry in found]

    def _unless_stopped(self, deliveries: list[Delivery]) -> list[Delivery]:
        if not self._waiter.is_stopped:
            return deliveries
        # Where the release fails, the leases end by themselves.
        with suppress(BrokerError):
            self._release([Nack(delivery=delivery, counted=False) for delivery in deliveries])
        return []


def _delivery(  # the script's order
    queue: str,
    lease_until: float,
    raw_id: bytes,
    deliveries: int,
    attempt: int,
    released: int,
    first_seen_ms: bytes,
    message_id: bytes,
    body: bytes,
) -> Delivery:
    own_id = raw_id.decode()
    return Delivery(
        queue=queue,
        body=body,
        receipt=Receipt(queue=queue, id=own_id, deliveries=deliveries),
        attempt=attempt,
        deliveries=deliveries,
        released=released,
        id=text(message_id) or f"redis-{own_id}",
        first_seen_at=int(first_seen_ms) / 1000,
        lease_until=lease_until,
    )
