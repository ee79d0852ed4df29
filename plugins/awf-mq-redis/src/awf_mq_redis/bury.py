"""Move deliveries into their dead-letter stream. Called by `backend.py`.

A letter is an entry of the stream named like the queue: body as it came, where from, why, and what was tried before.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from awf_core.contract import Ack, DeadLetter
from awf_core.errors import BrokerError
from awf_mq_redis.batch import Batches, Call, Ending, fences
from awf_mq_redis.link import text
from awf_mq_redis.names import QueueKeys, bad_queue_name, queue_keys, storable
from awf_mq_redis.outgoing import ReplyKeys, all_reply_arguments, reply_problem
from awf_mq_redis.receipt import Receipt, lost, receipt_of
from awf_mq_redis.spans import span_ms

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from awf_mq_redis.far import Far
    from awf_mq_redis.link import Argument, Link
    from awf_mq_redis.settle import Settling


class Burying:
    """Dead-letters. Thread-safe."""

    def __init__(
        self,
        link: Link,
        batches: Batches,
        far: Far,
        settling: Settling,
        *,
        prefix: str,
        lease_s: float,
        reply_ttl_s: float,
    ) -> None:
        self._link = link
        self._batches = batches
        self._far = far
        self._settling = settling
        self._prefix = prefix
        self._lease_s = lease_s
        self._reply_ttl_s = reply_ttl_s
        self._burying: Ending[DeadLetter] = Ending(
            doing="dead-letter messages", group=_by_target, encode=self._call, done="gone"
        )

    def dead_letter(self, letters: Sequence[DeadLetter]) -> list[BrokerError | None]:
        """Move the messages to their dead-letter queues, with replies in the same instant."""
        where = self._link.where
        problems = [bad_queue_name(letter.queue, where) or reply_problem(letter.replies, where) for letter in letters]
        near, problems = self._far.publish_first(letters, problems, self._settling.extend)
        if not self._link.is_cluster:
            return self._batches.settle(self._burying, near, problems)
        return self._in_cluster(near, problems)

    def _call(self, keys: QueueKeys, held: Sequence[tuple[DeadLetter, Receipt]]) -> Call:
        letter, receipt = held[0]
        target = queue_keys(letter.queue, self._prefix)
        all_keys = ReplyKeys(keys=[*keys.all, target.ready, target.sources])
        arguments: list[Argument] = [len(held), span_ms(self._lease_s), receipt.queue, letter.queue, *fences(held)]
        for each, fence in held:
            arguments += (fence.deliveries, storable(each.reason), storable(each.error), history_text(each.history))
            arguments += all_reply_arguments(each.replies, all_keys, prefix=self._prefix, keep_s=self._reply_ttl_s)
        return Call(script="bury", keys=all_keys.keys, arguments=arguments)

    def _in_cluster(
        self, letters: Sequence[DeadLetter], problems: Sequence[BrokerError | None]
    ) -> list[BrokerError | None]:
        near = [problem is None and self._is_near(letter) for letter, problem in zip(letters, problems, strict=True)]
        waiting = [problem or (None if is_near else _LATER) for problem, is_near in zip(problems, near, strict=True)]
        answers = self._batches.settle(self._burying, letters, waiting)
        return [
            self._bury_far(letter) if answer is _LATER else answer
            for letter, answer in zip(letters, answers, strict=True)
        ]

    def _is_near(self, letter: DeadLetter) -> bool:
        receipt = receipt_of(letter.delivery)
        return receipt is None or self._slot(receipt.queue) == self._slot(letter.queue)

    def _slot(self, queue: str) -> int:
        return queue_keys(queue, self._prefix).slot

    def _bury_far(self, letter: DeadLetter) -> BrokerError | None:
        """The letter into its stream, then the message out of its queue."""
        receipt = receipt_of(letter.delivery)
        assert receipt is not None
        keys, target = queue_keys(receipt.queue, self._prefix), queue_keys(letter.queue, self._prefix)
        doing = f"dead-letter messages in {receipt.queue!r}"
        try:
            (found,) = self._link.run(doing, "held", keys.all, 1, receipt.id, receipt.deliveries)
            if not found:
                return lost(letter.delivery, self._link.where)
            fields = _fields(letter, receipt, *found)
            self._link.run(doing, "letter", [target.ready, target.sources], receipt.queue, *fields)
            self._link.call(doing, keys.letters, "HSET", keys.letters, letter.queue, 1)
        except BrokerError as error:
            return error
        return self._settling.ack([Ack(delivery=letter.delivery)])[0]


def history_text(history: Sequence[Mapping[str, object]]) -> str:
    """History as it is stored: a JSON object a line, oldest first."""
    return "\n".join(json.dumps(dict(entry), default=str) for entry in history)


def _fields(letter: DeadLetter, receipt: Receipt, meta: bytes, body: bytes, past: bytes) -> list[Argument]:
    deliveries, attempt, released, first_seen, message_id = text(meta).split(":", 4)
    history = "\n".join(filter(None, (text(past), history_text(letter.history))))
    fields: dict[str, Any] = {
        "body": body,
        "source": receipt.queue,
        "reason": storable(letter.reason),
        "error": storable(letter.error),
        "history": history,
        "id": message_id or f"redis-{receipt.id}",
        "attempt": attempt,
        "deliveries": deliveries,
        "released": released,
        "first_seen": first_seen,
    }
    return [part for pair in fields.items() for part in pair]


def _by_target(letter: DeadLetter, receipt: Receipt) -> tuple[str, ...]:  # noqa: ARG001 - the same for every Ending
    return (letter.queue,)


_LATER = BrokerError("settled on its own, being in another slot")
