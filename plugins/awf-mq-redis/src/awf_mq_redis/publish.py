"""Put messages into queues: one push for all that go to a queue now, one script for those due later.

Called by `backend.py`. All of a call is one round trip. Nothing is repeated: a lost answer is the caller's to judge.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from awf_core.errors import BrokerError
from awf_mq_redis.link import AT_ONCE
from awf_mq_redis.names import queue_keys, reply_queue_ends_ms
from awf_mq_redis.outgoing import message_problem, reply_arguments
from awf_mq_redis.spans import span_ms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awf_core.contract import Outgoing
    from awf_mq_redis.link import Link
    from awf_mq_redis.sleep import Sleeper

Group = tuple[str, list[int]]


class Publishing:
    """Publishes under one key prefix. Thread-safe."""

    def __init__(self, link: Link, sleeper: Sleeper, *, prefix: str, block_s: float) -> None:
        self._link = link
        self._sleeper = sleeper
        self._prefix = prefix
        self._block_s = block_s

    def publish(self, messages: Sequence[Outgoing]) -> list[BrokerError | None]:
        """Store what can be stored; the rest gets its error. Raises when nothing was attempted."""
        answers = [message_problem(message, self._link.where) for message in messages]
        now: dict[str, list[int]] = {}
        special: list[int] = []
        for index, message in enumerate(messages):
            if answers[index] is not None:
                continue
            if message.delay_s > 0 or reply_queue_ends_ms(message.queue):
                special.append(index)
            else:
                now.setdefault(message.queue, []).append(index)
        self._push(messages, answers, now)
        for index in special:
            answers[index] = self._one(messages[index])
        return answers

    def _push(
        self, messages: Sequence[Outgoing], answers: list[BrokerError | None], groups: dict[str, list[int]]
    ) -> None:
        pieces = [
            (queue, indexes[start : start + AT_ONCE])
            for queue, indexes in groups.items()
            for start in range(0, len(indexes), AT_ONCE)
        ]
        for error, (_, indexes) in zip(self._sent(messages, pieces), pieces, strict=True):
            for index in indexes:
                answers[index] = error

    def _sent(self, messages: Sequence[Outgoing], pieces: Sequence[Group]) -> list[BrokerError | None]:
        """For each piece its error; a lost answer is the same for all."""
        commands: list[tuple[str, tuple[Any, ...]]] = []
        for queue, indexes in pieces:
            key = self._prefix + queue
            commands.append((key, ("LPUSH", key, *(messages[index].body for index in indexes))))
        doing = "publish to " + ", ".join(sorted({repr(queue) for queue, _ in pieces}))
        try:
            found = self._link.each(doing, commands)
        except BrokerError as error:
            if not getattr(error, "in_doubt", False):
                raise
            return [error] * len(pieces)
        return [answer if isinstance(answer, BrokerError) else None for answer in found]

    def _one(self, message: Outgoing) -> BrokerError | None:
        try:
            if message.delay_s > 0:
                self._later(message)
            else:
                arguments = reply_arguments(message, 0.0)
                key = self._prefix + message.queue
                self._link.run(f"publish to {message.queue!r}", "push", [key], 1, 1, *arguments)
        except BrokerError as error:
            return error
        return None

    def _later(self, message: Outgoing) -> None:
        keys = queue_keys(message.queue, self._prefix)
        delay_ms = span_ms(message.delay_s)
        doing = f"publish to {message.queue!r}"
        self._link.run(doing, "later", keys.all, secrets.token_hex(4), 1, delay_ms, message.body)
        if message.delay_s < self._block_s:
            self._sleeper.wake(keys.ready)
