"""What is published: what can't be is refused, replies are put into a script's arguments. Pure.

Called by `publish.py`, `settle.py` and `bury.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from awf_core.errors import BodyTooLarge, BrokerError, BrokerMisconfigured
from awf_mq_redis.names import bad_queue_name, reply_queue_ends_ms
from awf_mq_redis.spans import MAX_SPAN_S, bad_span, span_ms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awf_core.contract import Outgoing
    from awf_mq_redis.link import Argument

MAX_BODY_BYTES = 512 * 1024 * 1024
"""The longest value of a Redis key (and the default of its `proto-max-bulk-len`)."""


def problem(message: Outgoing, where: str) -> BrokerError | None:
    """Why `message` can't be sent to a queue; None when it can."""
    if len(message.body) > MAX_BODY_BYTES:
        return BodyTooLarge(
            f"{where}: a body for {message.queue!r} of {len(message.body)} bytes, over {MAX_BODY_BYTES}",
            hint="put the data into a file and send its path",
        )
    if message.priority is not None:
        return BrokerMisconfigured(
            f"{where}: priority {message.priority!r} for {message.queue!r}: this backend has none",
            hint="leave it out and use a queue of its own, or a backend with priorities",
        )
    return bad_queue_name(message.queue, where) or bad_span("delay_s", message.delay_s, where)


def message_problem(message: Outgoing, where: str) -> BrokerError | None:
    """As `problem`, for a message that isn't an answer."""
    if message.expires_s is not None and not reply_queue_ends_ms(message.queue):
        return BrokerMisconfigured(
            f"{where}: expires_s {message.expires_s} for {message.queue!r}: a list has one end for all of it, so a "
            "single message can't expire",
            hint="leave it out; results, and private reply queues, do expire",
        )
    return problem(message, where)


def reply_problem(replies: Sequence[Outgoing], where: str) -> BrokerError | None:
    """Why one of `replies` can't be sent; None when all can."""
    found = (_one_reply_problem(reply, where) for reply in replies)
    return next((error for error in found if error is not None), None)


def _one_reply_problem(reply: Outgoing, where: str) -> BrokerError | None:
    if reply.delay_s > 0:
        return BrokerMisconfigured(
            f"{where}: delay_s {reply.delay_s} for the answer to {reply.queue!r}: answers are pushed at once",
            hint="leave the delay out",
        )
    error = problem(reply, where)
    return error if error is not None or reply.expires_s is None else bad_span("expires_s", reply.expires_s, where)


@dataclass(slots=True)
class ReplyKeys:
    """The keys of one script call: a queue's own, then those that replies and state add. A position counts from 1."""

    keys: list[str]
    _positions: dict[str, int] = field(default_factory=dict)

    def position(self, key: str) -> int:
        """Where `key` stands, appended when it is new."""
        found = self._positions.get(key)
        if found is None:
            self.keys.append(key)
            found = self._positions[key] = len(self.keys)
        return found


def reply_arguments(reply: Outgoing, keep_s: float) -> tuple[int, int, bytes]:
    """`keep_ms, ends_ms, body` of a reply for a script; `keep_s` is for those without an expiry of their own."""
    kept_s = reply.expires_s if reply.expires_s is not None else keep_s
    return span_ms(min(kept_s, MAX_SPAN_S)), reply_queue_ends_ms(reply.queue), reply.body


def all_reply_arguments(replies: Sequence[Outgoing], keys: ReplyKeys, *, prefix: str, keep_s: float) -> list[Argument]:
    """`count`, then `position, keep_ms, ends_ms, body` of each reply."""
    arguments: list[Argument] = [len(replies)]
    for reply in replies:
        arguments += (keys.position(prefix + reply.queue), *reply_arguments(reply, keep_s))
    return arguments
