"""Put messages into queues: one push for all that go to a queue now, one script for those due later.

Called by `backend.py`. Nothing is repeated: a lost answer is the caller's to judge.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from awf_core.errors import BrokerError, BrokerUnavailable
from awf_mq_redis.link import AT_ONCE
from awf_mq_redis.names import queue_keys, reply_queue_ends_ms
from awf_mq_redis.outgoing import message_problem, reply_arguments
from awf_mq_redis.spans import span_ms

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from awf_core.contract import Outgoing
    from awf_mq_redis.link import Link
    from awf_mq_redis.sleep import Sleeper

Way = Literal["now", "later", "reply"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Messages that go to one queue in one command; `indexes` are their places in the call."""

    way: Way
    messages: Sequence[Outgoing]
    indexes: Sequence[int]


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
        ways: dict[tuple[Way, str], list[int]] = {}
        for index, message in enumerate(messages):
            if answers[index] is None:
                ways.setdefault((_way(message), message.queue), []).append(index)
        pieces = [
            Piece(way=way, messages=[messages[index] for index in part], indexes=part)
            for (way, _), indexes in ways.items()
            for part in _parts(indexes)
        ]
        for piece, error in self._sent(pieces):
            for index in piece.indexes:
                answers[index] = error
        return answers

    def _sent(self, pieces: Sequence[Piece]) -> list[tuple[Piece, BrokerError | None]]:
        """Each piece with its error. Once the server is away, nothing more is tried."""
        now = [piece for piece in pieces if piece.way == "now"]
        found = list(zip(now, self._pushed(now), strict=True)) if now else []
        for piece in pieces:
            if piece.way == "now":
                continue
            away = next((e for _, e in found if isinstance(e, BrokerUnavailable)), None)
            error = away or self._stored(piece)
            if not found and isinstance(error, BrokerUnavailable) and not error.in_doubt:
                raise error
            found.append((piece, error))
        return found

    def _pushed(self, pieces: Sequence[Piece]) -> list[BrokerError | None]:
        """In one round trip; a lost answer is the same for all."""
        commands: list[tuple[str, tuple[Any, ...]]] = []
        for piece in pieces:
            key = self._prefix + piece.messages[0].queue
            commands.append((key, ("LPUSH", key, *(message.body for message in piece.messages))))
        doing = "publish to " + ", ".join(sorted({repr(piece.messages[0].queue) for piece in pieces}))
        try:
            found = self._link.each(doing, commands)
        except BrokerUnavailable as error:
            if not error.in_doubt:
                raise
            return [error] * len(pieces)
        return [answer if isinstance(answer, BrokerError) else None for answer in found]

    def _stored(self, piece: Piece) -> BrokerError | None:
        try:
            if piece.way == "later":
                self._later(piece.messages)
            else:
                self._reply(piece.messages)
        except BrokerError as error:
            return error
        return None

    def _reply(self, messages: Sequence[Outgoing]) -> None:
        queue = messages[0].queue
        arguments = [part for message in messages for part in (1, *reply_arguments(message, 0.0))]
        self._link.run(f"publish to {queue!r}", "push", [self._prefix + queue], len(messages), *arguments)

    def _later(self, messages: Sequence[Outgoing]) -> None:
        queue = messages[0].queue
        keys = queue_keys(queue, self._prefix)
        arguments = [part for message in messages for part in (span_ms(message.delay_s), message.body)]
        doing = f"publish to {queue!r}"
        self._link.run(doing, "later", keys.all, secrets.token_hex(4), len(messages), *arguments)
        if min(message.delay_s for message in messages) < self._block_s:
            self._sleeper.wake(keys.ready)


def _way(message: Outgoing) -> Way:
    if message.delay_s > 0:
        return "later"
    return "reply" if reply_queue_ends_ms(message.queue) else "now"


def _parts(indexes: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(indexes), AT_ONCE):
        yield indexes[start : start + AT_ONCE]
