"""End deliveries, or keep them: ack, nack, extend. Called by `backend.py`; dead letters are `bury.py`.

Each item is fenced on its own, and a lost one neither publishes its replies nor spoils the others.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from awf_mq_redis.batch import Batches, Call, Ending, fences
from awf_mq_redis.link import AT_ONCE, text
from awf_mq_redis.names import QueueKeys, queue_keys, storable
from awf_mq_redis.outgoing import ReplyKeys, all_reply_arguments, reply_problem
from awf_mq_redis.receipt import Receipt, receipt_of
from awf_mq_redis.spans import bad_span, span_ms
from awf_mq_redis.state import state_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awf_core.contract import Ack, Delivery, Nack
    from awf_core.errors import BrokerError
    from awf_mq_redis.far import Far
    from awf_mq_redis.link import Argument, Link
    from awf_mq_redis.sleep import Sleeper


class Settling:
    """Settles deliveries. Thread-safe."""

    def __init__(
        self,
        link: Link,
        batches: Batches,
        far: Far,
        sleeper: Sleeper,
        *,
        prefix: str,
        lease_s: float,
        block_s: float,
        reply_ttl_s: float,
    ) -> None:
        self._link = link
        self._batches = batches
        self._far = far
        self._sleeper = sleeper
        self._prefix = prefix
        self._lease_s = lease_s
        self._block_s = block_s
        self._reply_ttl_s = reply_ttl_s
        self._acking: Ending[Ack] = Ending(
            doing="acknowledge messages", group=_alone, encode=self._ack_call, done="gone"
        )
        self._nacking: Ending[Nack] = Ending(doing="give back messages", group=_alone, encode=_nack_call, done="free")

    def ack(self, acks: Sequence[Ack]) -> list[BrokerError | None]:
        """Remove the messages; replies and `remember` become visible in the same instant."""
        where = self._link.where
        problems = [
            reply_problem(ack.replies, where)
            or (bad_span("ttl_s", ack.remember.ttl_s, where) if ack.remember is not None else None)
            for ack in acks
        ]
        near, problems = self._far.publish_first(acks, problems, self.extend)
        return self._batches.settle(self._acking, near, problems)

    def nack(self, nacks: Sequence[Nack]) -> list[BrokerError | None]:
        """Give the messages back, due after their delay."""
        problems = [bad_span("delay_s", nack.delay_s, self._link.where) for nack in nacks]
        answers = self._batches.settle(self._nacking, nacks, problems)
        soon = {
            receipt.queue for nack in nacks if nack.delay_s < self._block_s and (receipt := receipt_of(nack.delivery))
        }
        for queue in soon:
            self._sleeper.wake(self._prefix + queue)
        return answers

    def extend(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """Renew the leases; returns those already lost."""
        held: dict[str, list[tuple[Delivery, Receipt]]] = {}
        gone = {id(delivery) for delivery in deliveries}
        for delivery in deliveries:
            receipt = receipt_of(delivery)
            if receipt is not None:
                held.setdefault(receipt.queue, []).append((delivery, receipt))
        for queue, pairs in held.items():
            for start in range(0, len(pairs), AT_ONCE):
                gone -= self._extended(queue, pairs[start : start + AT_ONCE])
        return [delivery for delivery in deliveries if id(delivery) in gone]

    def _extended(self, queue: str, pairs: Sequence[tuple[Delivery, Receipt]]) -> set[int]:
        keys = queue_keys(queue, self._prefix)
        numbers = [receipt.deliveries for _, receipt in pairs]
        arguments = [len(pairs), span_ms(self._lease_s), *fences(pairs), *numbers]
        words = self._link.run(f"extend leases in {queue!r}", "extend", keys.all, *arguments)
        return {id(delivery) for word, (delivery, _) in zip(words, pairs, strict=True) if text(word) == "ok"}

    def _ack_call(self, keys: QueueKeys, held: Sequence[tuple[Ack, Receipt]]) -> Call:
        all_keys = ReplyKeys(keys=list(keys.all))
        arguments: list[Argument] = [len(held), span_ms(self._lease_s), *fences(held)]
        for ack, receipt in held:
            arguments.append(receipt.deliveries)
            arguments += self._remember_arguments(ack, all_keys)
            arguments += all_reply_arguments(ack.replies, all_keys, prefix=self._prefix, keep_s=self._reply_ttl_s)
        return Call(script="ack", keys=all_keys.keys, arguments=arguments)

    def _remember_arguments(self, ack: Ack, keys: ReplyKeys) -> list[Argument]:
        remember = ack.remember
        if remember is None:
            return [0]
        key = keys.position(state_key(remember.key, self._prefix))
        return [key, storable(remember.value), max(1, span_ms(remember.ttl_s))]


def _nack_call(keys: QueueKeys, held: Sequence[tuple[Nack, Receipt]]) -> Call:
    arguments: list[Argument] = [len(held), *fences(held)]
    for nack, receipt in held:
        reason = json.dumps(storable(nack.reason)) if nack.reason and nack.counted else ""
        arguments += (receipt.deliveries, span_ms(nack.delay_s), int(nack.counted), reason)
    return Call(script="nack", keys=keys.all, arguments=arguments)


def _alone(item: object, receipt: Receipt) -> tuple[str, ...]:  # noqa: ARG001 - nothing but the queue divides them
    return ()
