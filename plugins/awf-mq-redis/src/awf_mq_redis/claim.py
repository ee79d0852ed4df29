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
from awf_mq_redis.history import history_of
from awf_mq_redis.keys import reply_queue_ends_ms, storable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from awf_core.contract import BackendContext
    from awf_mq_redis.connection import RedisConnection
    from awf_mq_redis.dead_letter import DeadMessageCounts
    from awf_mq_redis.keys import QueueKeys
    from awf_mq_redis.ticker import Ticker
    from awf_mq_redis.wait import Waiter


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The identity of a delivery: the message, and the claim that took it. No two claims have the same token.

    A delivery whose lease ended can be settled until another worker claims the message.
    """

    queue: str
    id: str
    token: str


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
        ticker: Ticker,
        context: BackendContext,
        *,
        lease_s: float,
        block_s: float,
        release: Callable[[Sequence[Nack]], object],
    ) -> None:
        self._connection = connection
        self._waiter = waiter
        self._dead_messages = dead_messages
        self._ticker = ticker
        self._clock = context.clock
        self._owner = storable(context.instance)
        self._max_body_bytes = -1 if context.max_body_bytes is None else context.max_body_bytes
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
        token = secrets.token_hex(6)
        next_ms, found, emptied = self._connection.run(
            f"take messages from {queue!r}",
            "claim",
            keys.all,
            limit,
            span_ms(self._lease_s),
            token,
            reply_queue_ends_ms(queue),
            self._owner,
            self._max_body_bytes,
        )
        # A private reply queue is waited on all the time, by a client that may never claim from it again.
        if not reply_queue_ends_ms(queue):
            self._ticker.note(queue)
        if emptied:
            # A failure here only leaves a count of zero to be read again, so the claimed messages are delivered.
            with suppress(BrokerError):
                self._dead_messages.forget(queue, emptied)
        next_s = float("inf") if next_ms < 0 else next_ms / 1000
        return next_s, [_delivery(queue, token, lease_until, *entry) for entry in found]

    def _unless_stopped(self, deliveries: list[Delivery]) -> list[Delivery]:
        if not self._waiter.is_stopped:
            return deliveries
        # Where the release fails, the leases end by themselves.
        with suppress(BrokerError):
            self._release([Nack(delivery=each, counted=False, history=each.history) for each in deliveries])
        return []


def _delivery(  # the script's order
    queue: str,
    token: str,
    lease_until: float,
    raw_id: bytes,
    deliveries: int,
    attempt: int,
    crashes: int,
    age_ms: int,
    history: bytes,
    body_bytes: int,
    body: bytes,
) -> Delivery:
    own_id = raw_id.decode()
    return Delivery(
        queue=queue,
        body=body,
        receipt=Receipt(queue=queue, id=own_id, token=token),
        id=f"redis-{own_id}",
        attempt=attempt,
        deliveries=deliveries,
        crashes=crashes,
        body_bytes=body_bytes,
        history=history_of(text(history)) if history else (),
        age_s=age_ms / 1000,
        lease_until=lease_until,
    )
