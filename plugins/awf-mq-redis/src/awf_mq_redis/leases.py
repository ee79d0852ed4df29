"""Renew the leases of deliveries. Called by `backend.py`, and by `cross_slot.py` before it publishes.

One script call for the deliveries of a queue. An answer for each: a queue that can't be reached affects no other's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from awf_core.errors import BrokerError, BrokerUnavailable
from awf_core.units import span_ms
from awf_mq_redis.claim import Receipt, receipt_of
from awf_mq_redis.connection import text
from awf_mq_redis.failures import lease_lost
from awf_mq_redis.settle import Answers, pieces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awf_core.contract import Delivery
    from awf_mq_redis.connection import RedisConnection

Indexed = tuple[int, "Delivery", Receipt]


class Leases:
    """Renews leases for `lease_s` seconds from now. Thread-safe."""

    def __init__(self, connection: RedisConnection, *, lease_s: float) -> None:
        self._connection = connection
        self._lease_s = lease_s

    def extend(self, deliveries: Sequence[Delivery]) -> Answers:
        """None for each that was renewed, else its error. Raises when none was attempted."""
        answers: Answers = [None] * len(deliveries)
        by_queue: dict[str, list[Indexed]] = {}
        for index, delivery in enumerate(deliveries):
            receipt = receipt_of(delivery)
            if receipt is None:
                answers[index] = lease_lost(delivery, self._connection.where)
            else:
                by_queue.setdefault(receipt.queue, []).append((index, delivery, receipt))
        for queue, items in by_queue.items():
            for piece in pieces(items):
                for (index, _, _), answer in zip(piece, self._answered(queue, piece), strict=True):
                    answers[index] = answer
        first = next((answer for answer in answers if isinstance(answer, BrokerUnavailable)), None)
        if first is not None and all(isinstance(answer, BrokerUnavailable) for answer in answers):
            raise first
        return answers

    def _answered(self, queue: str, items: Sequence[Indexed]) -> Answers:
        arguments: list[str | int] = [len(items), span_ms(self._lease_s)]
        arguments += [receipt.id for _, _, receipt in items]
        arguments += [receipt.token for _, _, receipt in items]
        keys = self._connection.keys(queue).all
        try:
            words = self._connection.run(f"extend leases in {queue!r}", "extend", keys, *arguments)
        except BrokerError as error:
            return [error] * len(items)
        return [
            None if text(word) == "ok" else lease_lost(delivery, self._connection.where)
            for word, (_, delivery, _) in zip(words, items, strict=True)
        ]
