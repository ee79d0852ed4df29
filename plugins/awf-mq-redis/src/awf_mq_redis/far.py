"""What can't go into one script in a cluster: replies and state in another slot than the queue. Called by `settle.py`
and `bury.py`.

Published first and settled after: a worker that dies between the two doubles a result, and loses none. Where all is on
one server there is nothing to do here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from redis.crc import key_slot

from awf_core.contract import Ack, DeadLetter
from awf_core.errors import BrokerError, Unroutable
from awf_mq_redis.link import text
from awf_mq_redis.names import queue_keys, storable
from awf_mq_redis.outgoing import reply_arguments
from awf_mq_redis.receipt import lost, receipt_of
from awf_mq_redis.spans import span_ms
from awf_mq_redis.state import state_key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from awf_core.contract import Delivery, Outgoing, Remember
    from awf_mq_redis.link import Link

Item = TypeVar("Item", bound=Ack | DeadLetter)
Problems = list[BrokerError | None]


class Far:
    """Publishes what lies in other slots. Thread-safe."""

    def __init__(self, link: Link, *, prefix: str, reply_ttl_s: float) -> None:
        self._link = link
        self._prefix = prefix
        self._reply_ttl_s = reply_ttl_s

    def publish_first(
        self, items: Sequence[Item], problems: Problems, extend: Callable[[Sequence[Delivery]], Sequence[Delivery]]
    ) -> tuple[Sequence[Item], Problems]:
        """The items without what was published here, and their problems. `extend` tells which are still ours, and
        keeps them so meanwhile.
        """
        if not self._link.is_cluster:
            return items, problems
        far = [index for index, item in enumerate(items) if problems[index] is None and self._is_far(item)]
        if not far:
            return items, problems
        gone = {id(delivery) for delivery in extend([items[index].delivery for index in far])}
        near, answers = list(items), list(problems)
        for index in far:
            if id(items[index].delivery) in gone:
                answers[index] = lost(items[index].delivery, self._link.where)
                continue
            answers[index] = self._publish(items[index])
            near[index] = _stripped(items[index])
        return near, answers

    def _is_far(self, item: Item) -> bool:
        receipt = receipt_of(item.delivery)
        if receipt is None:
            return False
        slot = queue_keys(receipt.queue, self._prefix).slot
        keys = [self._prefix + reply.queue for reply in item.replies]
        remember = _remember(item)
        if remember is not None:
            keys.append(state_key(remember.key, self._prefix))
        return any(key_slot(key.encode("utf-8", "replace")) != slot for key in keys)

    def _publish(self, item: Item) -> BrokerError | None:
        try:
            remember = _remember(item)
            if remember is not None:
                key = state_key(remember.key, self._prefix)
                command = ("SET", key, storable(remember.value), "PX", max(1, span_ms(remember.ttl_s)))
                self._link.call("remember state", key, *command)
            for reply in item.replies:
                self._push(reply)
        except BrokerError as error:
            return error
        return None

    def _push(self, reply: Outgoing) -> None:
        key = self._prefix + reply.queue
        doing = f"publish to {reply.queue!r}"
        word = text(self._link.run(doing, "push", [key], 1, 1, *reply_arguments(reply, self._reply_ttl_s)))
        if word != "ok":
            raise Unroutable(
                f"{self._link.where}: no answer can be put into {reply.queue!r}: its key holds a {word.split(' ')[1]}, "
                "not a list",
                hint="reply_to has to name a list, or nothing yet",
            )


def _remember(item: Ack | DeadLetter) -> Remember | None:
    return item.remember if isinstance(item, Ack) else None


def _stripped(item: Item) -> Item:
    changes: dict[str, Any] = {"replies": ()} if _remember(item) is None else {"replies": (), "remember": None}
    return replace(item, **changes)
