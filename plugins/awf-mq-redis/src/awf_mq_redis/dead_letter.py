"""Dead-letter messages, and count them by the queue they came from. Called by `backend.py`.

A dead-lettered message is an entry of the stream that is named like the dead-letter queue: the body as it came, the
source queue, the reason, and the history. The stream counts its entries by source queue. Each source queue has a list
of the streams that hold messages of it, since a stream may be in another slot of a cluster.
"""

from __future__ import annotations

from itertools import compress
from typing import TYPE_CHECKING

from awf_core.contract import Ack, DeadLetter
from awf_core.errors import BrokerError
from awf_core.units import span_ms
from awf_mq_redis.claim import Receipt, receipt_of
from awf_mq_redis.connection import text
from awf_mq_redis.failures import lease_lost
from awf_mq_redis.history import history_text
from awf_mq_redis.keys import QueueKeys, storable
from awf_mq_redis.settle import Answers, Batches, Call, Operation, ReplyKeys, ids

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awf_mq_redis.connection import Argument, RedisConnection
    from awf_mq_redis.cross_slot import CrossSlotPublish
    from awf_mq_redis.leases import Leases
    from awf_mq_redis.settle import Settling


class DeadLettering:
    """Moves deliveries to their dead-letter queues. Thread-safe."""

    def __init__(
        self,
        connection: RedisConnection,
        batches: Batches,
        cross_slot: CrossSlotPublish,
        settling: Settling,
        leases: Leases,
        *,
        lease_s: float,
        reply_ttl_s: float,
    ) -> None:
        self._connection = connection
        self._batches = batches
        self._cross_slot = cross_slot
        self._settling = settling
        self._leases = leases
        self._lease_s = lease_s
        self._reply_ttl_s = reply_ttl_s
        self._operation: Operation[DeadLetter] = Operation(
            script="dead_letter",
            doing="dead-letter messages",
            encode=self._call,
            done="gone",
            target=lambda item: item.queue,
        )

    def dead_letter(self, items: Sequence[DeadLetter]) -> Answers:
        """Move the messages to their dead-letter queues; replies become visible in the same instant."""
        problems: Answers = [None] * len(items)
        if not self._connection.is_cluster:
            return self._batches.settle(self._operation, items, problems)
        items, problems = self._cross_slot.publish_first(items, problems, self._leases.extend)
        in_slot = [problem is not None or self._is_in_slot(item) for item, problem in zip(items, problems, strict=True)]
        here, here_problems = list(compress(items, in_slot)), list(compress(problems, in_slot))
        answers = iter(self._batches.settle(self._operation, here, here_problems))
        return [
            next(answers) if is_here else self._across_slots(item) for item, is_here in zip(items, in_slot, strict=True)
        ]

    def _call(self, keys: QueueKeys, pairs: Sequence[tuple[DeadLetter, Receipt]]) -> Call:
        first, receipt = pairs[0]
        target = self._connection.keys(first.queue)
        script_keys = [*keys.all, target.ready, target.sources]
        all_keys = ReplyKeys(keys=script_keys, prefix=self._connection.prefix, keep_s=self._reply_ttl_s)
        arguments: list[Argument] = [len(pairs), span_ms(self._lease_s), receipt.queue, first.queue, *ids(pairs)]
        for item, fence in pairs:
            arguments += (fence.token, storable(item.reason), storable(item.error), history_text(item.history))
            arguments += all_keys.arguments(item.replies)
        return all_keys.keys, arguments

    def _is_in_slot(self, item: DeadLetter) -> bool:
        receipt = receipt_of(item.delivery)
        return receipt is None or self._slot(receipt.queue) == self._slot(item.queue)

    def _slot(self, queue: str) -> int:
        return self._connection.keys(queue).slot

    def _across_slots(self, item: DeadLetter) -> BrokerError | None:
        """Add the message to its stream, then remove it from its queue."""
        receipt = receipt_of(item.delivery)
        assert receipt is not None
        keys, target = self._connection.keys(receipt.queue), self._connection.keys(item.queue)
        doing = f"dead-letter messages in {receipt.queue!r}"
        try:
            (found,) = self._connection.run(doing, "read_leased", keys.all, 1, receipt.id, receipt.token)
            if not found:
                return lease_lost(item.delivery, self._connection.where)
            fields = _fields(item, receipt, *found)
            stream_keys = [target.ready, target.sources]
            self._connection.run(doing, "add_dead_message", stream_keys, receipt.queue, *fields)
            self._connection.call(doing, keys.dlqs, "HSET", keys.dlqs, item.queue, 1)
        except BrokerError as error:
            return error
        return self._settling.ack([Ack(delivery=item.delivery)])[0]


class DeadMessageCounts:
    """Counts dead-lettered messages by source queue. Thread-safe."""

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection

    def count(self, source: str, streams: Sequence[bytes]) -> int:
        """How many messages of `source` the streams hold."""
        return sum(self._count(source, text(stream)) for stream in streams)

    def forget(self, stream: str, sources: Sequence[bytes]) -> None:
        """Remove `stream` from the lists of `sources` that have no message in it any more."""
        doing = f"count dead-lettered messages in {stream!r}"
        sources_key = self._connection.keys(stream).sources
        for source in map(text, sources):
            dlqs = self._connection.keys(source).dlqs
            self._connection.call(doing, dlqs, "HDEL", dlqs, stream)
            # A message that was dead-lettered in between would not be counted.
            if self._connection.call(doing, sources_key, "HGET", sources_key, source) is not None:
                self._connection.call(doing, dlqs, "HSET", dlqs, stream, 1)

    def _count(self, source: str, stream: str) -> int:
        keys = self._connection.keys(stream)
        doing = f"count dead-lettered messages in {stream!r}"
        return int(self._connection.run(doing, "count_dead_messages", [keys.ready, keys.sources], source))


def _fields(  # the script's order
    item: DeadLetter, receipt: Receipt, deliveries: int, attempt: int, crashes: int, first_seen_ms: bytes, body: bytes
) -> list[Argument]:
    fields: dict[str, Argument] = {
        "body": body,
        "source": receipt.queue,
        "reason": storable(item.reason),
        "error": storable(item.error),
        "history": history_text(item.history),
        "id": f"redis-{receipt.id}",
        "attempt": attempt,
        "deliveries": deliveries,
        "crashes": crashes,
        "first_seen": text(first_seen_ms),
    }
    return [part for pair in fields.items() for part in pair]
