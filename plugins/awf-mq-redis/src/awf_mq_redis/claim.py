"""Take messages: one script call for a batch, else sleep until there may be something. Called by `backend.py`.

The script does all there is to do about time as well: retries that are due, leases that ended. Nobody has to run
beside the workers for it.
"""

from __future__ import annotations

import secrets
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from awf_core.contract import Delivery, Nack
from awf_core.errors import BrokerError
from awf_mq_redis.link import AT_ONCE, text
from awf_mq_redis.names import bad_queue_name, queue_keys, reply_queue_ends_ms
from awf_mq_redis.receipt import Receipt
from awf_mq_redis.spans import span_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from awf_core.clock import Clock
    from awf_mq_redis.letters import Letters
    from awf_mq_redis.link import Link
    from awf_mq_redis.names import QueueKeys
    from awf_mq_redis.sleep import Sleeper


class Claims:
    """Takes messages under leases of `lease_s` seconds. Thread-safe."""

    def __init__(
        self,
        link: Link,
        sleeper: Sleeper,
        letters: Letters,
        clock: Clock,
        *,
        prefix: str,
        lease_s: float,
        block_s: float,
        give_back: Callable[[Sequence[Nack]], object],
    ) -> None:
        self._link = link
        self._sleeper = sleeper
        self._letters = letters
        self._clock = clock
        self._prefix = prefix
        self._lease_s = lease_s
        self._block_s = block_s
        self._give_back = give_back

    def consume(self, queue: str, limit: int, wait_s: float) -> list[Delivery]:
        """Up to `limit` deliveries; [] when `wait_s` is over or the sleeper was stopped."""
        error = bad_queue_name(queue, self._link.where)
        if error is not None:
            raise error
        keys = queue_keys(queue, self._prefix)
        deadline = time.monotonic() + wait_s
        while limit > 0 and not self._sleeper.is_stopped:
            next_s, deliveries = self._claim(queue, keys, min(limit, AT_ONCE))
            if deliveries:
                return self._unless_stopped(deliveries)
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                break
            self._sleeper.sleep(keys, min(left_s, next_s, self._block_s))
        return []

    def _claim(self, queue: str, keys: QueueKeys, limit: int) -> tuple[float, list[Delivery]]:
        """The seconds until something is due, and what was taken."""
        lease_until = self._clock.monotonic() + self._lease_s
        next_ms, found, emptied = self._link.run(
            f"take messages from {queue!r}",
            "claim",
            keys.all,
            limit,
            span_ms(self._lease_s),
            secrets.token_hex(4),
            reply_queue_ends_ms(queue),
        )
        if emptied:
            # Else a stream is asked for a count of nothing: no reason to give up what was taken.
            with suppress(BrokerError):
                self._letters.forget(queue, emptied)
        next_s = float("inf") if next_ms < 0 else next_ms / 1000
        return next_s, [_delivery(queue, lease_until, *entry) for entry in found]

    def _unless_stopped(self, deliveries: list[Delivery]) -> list[Delivery]:
        if not self._sleeper.is_stopped:
            return deliveries
        # Where even this fails, the leases run out.
        with suppress(BrokerError):
            self._give_back([Nack(delivery=delivery, counted=False) for delivery in deliveries])
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
