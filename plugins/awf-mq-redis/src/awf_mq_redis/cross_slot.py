"""Publish what a settlement's script can't reach in a cluster: replies and state in another slot than the queue.

Called by `settle.py` and `dead_letter.py`. They are published first and the delivery is settled after. A worker that
dies in between publishes a result twice when the message is redelivered; it never loses one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from awf_core.contract import Ack, DeadLetter
from awf_core.errors import BrokerError
from awf_core.units import span_ms
from awf_mq_redis.claim import receipt_of
from awf_mq_redis.connection import text
from awf_mq_redis.failures import refused_reply
from awf_mq_redis.keys import slot_of, state_key, storable
from awf_mq_redis.settle import reply_arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from awf_core.contract import Delivery, Outgoing, Remember
    from awf_mq_redis.connection import RedisConnection
    from awf_mq_redis.settle import Answers

Item = TypeVar("Item", bound=Ack | DeadLetter)


class CrossSlotPublish:
    """Publishes to other slots than the queue's. Thread-safe."""

    def __init__(self, connection: RedisConnection, *, reply_ttl_s: float) -> None:
        self._connection = connection
        self._reply_ttl_s = reply_ttl_s

    def publish_first(
        self, items: Sequence[Item], problems: Answers, extend: Callable[[Sequence[Delivery]], Answers]
    ) -> tuple[Sequence[Item], Answers]:
        """The items without what was published here, and their problems. `extend` renews the leases before."""
        crossing = [index for index, item in enumerate(items) if problems[index] is None and self._crosses(item)]
        renewed = extend([items[index].delivery for index in crossing]) if crossing else []
        rest, answers = list(items), list(problems)
        for index, error in zip(crossing, renewed, strict=True):
            answers[index] = error or self._publish(items[index])
            rest[index] = _stripped(items[index])
        return rest, answers

    def _crosses(self, item: Item) -> bool:
        receipt = receipt_of(item.delivery)
        if receipt is None:
            return False
        keys = [self._connection.prefix + reply.queue for reply in item.replies]
        remember = _remember(item)
        if remember is not None:
            keys.append(state_key(remember.key, self._connection.prefix))
        slot = self._connection.keys(receipt.queue).slot
        return any(slot_of(key) != slot for key in keys)

    def _publish(self, item: Item) -> BrokerError | None:
        try:
            remember = _remember(item)
            if remember is not None:
                key = state_key(remember.key, self._connection.prefix)
                command = ("SET", key, storable(remember.value), "PX", max(1, span_ms(remember.ttl_s)))
                self._connection.call("remember state", key, *command)
            for reply in item.replies:
                self._push(reply)
        except BrokerError as error:
            return error
        return None

    def _push(self, reply: Outgoing) -> None:
        arguments = reply_arguments(reply, self._reply_ttl_s)
        doing = f"publish to {reply.queue!r}"
        keys = self._connection.keys(reply.queue)
        word = text(self._connection.run(doing, "push_replies", [keys.ready, keys.role], 1, 1, 2, *arguments))
        if word != "ok":
            raise refused_reply(word, self._connection.where)


def _remember(item: Ack | DeadLetter) -> Remember | None:
    return item.remember if isinstance(item, Ack) else None


def _stripped(item: Item) -> Item:
    changes: dict[str, Any] = {"replies": ()} if _remember(item) is None else {"replies": (), "remember": None}
    return replace(item, **changes)
