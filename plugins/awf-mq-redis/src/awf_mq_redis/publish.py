"""Publish messages: one push for all that go to a queue now, one script for those that are due later.

Called by `backend.py`. Repeats nothing: the caller decides what a lost answer means.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from awf_core.errors import BrokerError, BrokerUnavailable
from awf_core.units import span_ms
from awf_mq_redis.connection import text
from awf_mq_redis.failures import refused_reply
from awf_mq_redis.keys import reply_queue_ends_ms
from awf_mq_redis.settle import Answers, pieces, reply_arguments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awf_core.contract import Outgoing
    from awf_mq_redis.connection import RedisConnection
    from awf_mq_redis.wait import Waiter

Kind = Literal["now", "delayed", "reply"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Messages that go to one queue in one command; `indexes` are their positions in the call."""

    kind: Kind
    queue: str
    messages: Sequence[Outgoing]
    indexes: Sequence[int]


class Publishing:
    """Publishes under one key prefix. Thread-safe."""

    def __init__(self, connection: RedisConnection, waiter: Waiter, *, block_s: float) -> None:
        self._connection = connection
        self._waiter = waiter
        self._block_s = block_s

    def publish(self, messages: Sequence[Outgoing]) -> Answers:
        """Store the messages; each that can't be stored gets its error. Raises when nothing was attempted."""
        answers: Answers = [None] * len(messages)
        by_queue: dict[tuple[Kind, str], list[int]] = {}
        for index, message in enumerate(messages):
            by_queue.setdefault((_kind(message), message.queue), []).append(index)
        batches = [
            Batch(kind=kind, queue=queue, messages=[messages[index] for index in piece], indexes=piece)
            for (kind, queue), indexes in by_queue.items()
            for piece in pieces(indexes)
        ]
        for batch, error in self._sent(batches):
            for index in batch.indexes:
                answers[index] = error
        return answers

    def _sent(self, batches: Sequence[Batch]) -> list[tuple[Batch, BrokerError | None]]:
        """Each batch with its error. After the server was found unavailable, no more batches are sent."""
        now = [batch for batch in batches if batch.kind == "now"]
        found = list(zip(now, self._pushed(now), strict=True)) if now else []
        for batch in batches:
            if batch.kind == "now":
                continue
            unavailable = next((e for _, e in found if isinstance(e, BrokerUnavailable)), None)
            error = unavailable or self._stored(batch)
            if not found and isinstance(error, BrokerUnavailable) and not error.in_doubt:
                raise error
            found.append((batch, error))
        return found

    def _pushed(self, batches: Sequence[Batch]) -> Answers:
        """Push in one round trip. A lost answer leaves all batches in doubt."""
        commands: list[tuple[str, tuple[Any, ...]]] = []
        for batch in batches:
            key = self._connection.prefix + batch.queue
            commands.append((key, ("LPUSH", key, *(message.body for message in batch.messages))))
        doing = "publish to " + ", ".join(sorted({repr(batch.queue) for batch in batches}))
        try:
            found = self._connection.each(doing, commands)
        except BrokerUnavailable as error:
            if not error.in_doubt:
                raise
            return [error] * len(batches)
        return [answer if isinstance(answer, BrokerError) else None for answer in found]

    def _stored(self, batch: Batch) -> BrokerError | None:
        try:
            if batch.kind == "delayed":
                self._delay(batch)
            else:
                self._reply(batch)
        except BrokerError as error:
            return error
        return None

    def _reply(self, batch: Batch) -> None:
        arguments = [part for message in batch.messages for part in (1, 2, *reply_arguments(message, 0.0))]
        keys = self._connection.keys(batch.queue)
        script_keys, doing = [keys.ready, keys.role], f"publish to {batch.queue!r}"
        answer = text(self._connection.run(doing, "push_replies", script_keys, len(batch.messages), *arguments))
        if answer != "ok":
            raise refused_reply(answer, self._connection.where)

    def _delay(self, batch: Batch) -> None:
        keys = self._connection.keys(batch.queue)
        arguments = [part for message in batch.messages for part in (span_ms(message.delay_s), message.body)]
        doing = f"publish to {batch.queue!r}"
        self._connection.run(doing, "publish_delayed", keys.all, secrets.token_hex(4), len(batch.messages), *arguments)
        if min(message.delay_s for message in batch.messages) < self._block_s:
            self._waiter.wake(keys.ready)


def _kind(message: Outgoing) -> Kind:
    if message.delay_s > 0:
        return "delayed"
    return "reply" if reply_queue_ends_ms(message.queue) else "now"
