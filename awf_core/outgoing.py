"""Whether a backend can take what is about to be published: body, priority, delay, expiry and the queue's name.

`Mq` asks once for each message and reply, before the backend sees it, so that no backend has to check what its
`Capabilities` already say. Pure.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from awf_core.errors import BodyTooLarge, BrokerError, BrokerMisconfigured, Unroutable
from awf_core.units import MAX_SPAN_S

if TYPE_CHECKING:
    from collections.abc import Iterable

    from awf_core.contract import Capabilities, Nack, Outgoing

NAMES_KEPT = 1024
NO_NAME = "(?!)"


class OutgoingRules:
    """What one backend takes. Thread-safe.

    Errors are answers, never raised: BodyTooLarge, Unroutable for a name no queue can have, BrokerMisconfigured for
    the rest. Their text begins with the backend's name.
    """

    def __init__(self, capabilities: Capabilities, *, backend: str) -> None:
        self._can = capabilities
        self._where = f"mq.type {backend!r}"
        self._longest_publish_delay_s = _or_longest(capabilities.max_publish_delay_s)
        self._longest_nack_delay_s = _or_longest(capabilities.max_nack_delay_s)
        self._reserved = re.compile(
            "|".join(f"(?:{each})" for each in capabilities.reserved_names) or "(?!)", re.DOTALL
        )
        # Producers choose names, and the worker asks for the same few over and over.
        self.name_problem = lru_cache(maxsize=NAMES_KEPT)(self._name_problem)

    def problem(self, message: Outgoing) -> BrokerError | None:
        """Why `message` can't be published; None when it can."""
        return (
            self._body_problem(message)
            or self.name_problem(message.queue)
            or self._delay_problem(message)
            or self._expiry_problem(message, is_reply=False)
            or self._priority_problem(message)
        )

    def reply_problem(self, replies: Iterable[Outgoing]) -> BrokerError | None:
        """Why one of `replies` can't be published with a settlement; None when all can."""
        found = (self._one_reply_problem(reply) for reply in replies)
        return next((error for error in found if error is not None), None)

    def nack_problem(self, nack: Nack) -> BrokerError | None:
        """Why a delivery can't be released with this delay; None when it can."""
        return self._span_problem("delay_s", nack.delay_s, self._longest_nack_delay_s, nack.delivery.queue)

    def _one_reply_problem(self, reply: Outgoing) -> BrokerError | None:
        if reply.delay_s > 0:
            return BrokerMisconfigured(
                f"{self._where}: delay_s {reply.delay_s} for the reply to {reply.queue!r}: replies go out at once",
                hint="leave the delay out",
            )
        return (
            self._body_problem(reply)
            or self.name_problem(reply.queue)
            or self._expiry_problem(reply, is_reply=True)
            or self._priority_problem(reply)
        )

    def _body_problem(self, message: Outgoing) -> BrokerError | None:
        size = len(message.body)
        largest = self._can.max_body_bytes
        if largest is not None and size > largest:
            return BodyTooLarge(
                f"{self._where}: a body for {message.queue!r} of {size} bytes, over {largest}",
                hint="put the data into a file and send its path",
            )
        if size < self._can.min_body_bytes:
            return BrokerMisconfigured(
                f"{self._where}: a body for {message.queue!r} of {size} bytes, under {self._can.min_body_bytes}",
                hint="send at least a JSON object",
            )
        return None

    def _delay_problem(self, message: Outgoing) -> BrokerError | None:
        if message.delay_s <= 0:
            return None
        if self._longest_publish_delay_s == 0:
            return self._unsupported("delay_s", message.delay_s, message.queue, "leave it out")
        return self._span_problem("delay_s", message.delay_s, self._longest_publish_delay_s, message.queue)

    def _expiry_problem(self, message: Outgoing, *, is_reply: bool) -> BrokerError | None:
        if message.expires_s is None:
            return None
        if self._can.expires == "none" or (self._can.expires == "replies" and not is_reply):
            return self._unsupported("expires_s", message.expires_s, message.queue, "leave it out")
        return self._span_problem("expires_s", message.expires_s, MAX_SPAN_S, message.queue)

    def _priority_problem(self, message: Outgoing) -> BrokerError | None:
        if message.priority is None or self._can.priority:
            return None
        hint = "leave it out and use a queue of its own, or a backend with priorities"
        return self._unsupported("priority", message.priority, message.queue, hint)

    def _span_problem(self, name: str, seconds: float, longest_s: float, queue: str) -> BrokerError | None:
        # Not-a-number compares false, and is refused.
        if seconds <= longest_s:
            return None
        return BrokerMisconfigured(
            f"{self._where}: {name} for {queue!r} is {seconds}; the longest this backend keeps is {longest_s:.0f} s",
            hint=f"give at most {longest_s:.0f} seconds",
        )

    def _unsupported(self, name: str, value: float, queue: str, hint: str) -> BrokerError:
        return BrokerMisconfigured(
            f"{self._where}: {name} {value!r} for {queue!r}: this backend doesn't support it", hint=hint
        )

    def _name_problem(self, queue: str) -> BrokerError | None:
        """Why no message can be published to a queue of this name; None when one can."""
        if not is_queue_name(queue, self._can.max_queue_name_bytes):
            return Unroutable(
                f"{self._where}: {queue[:80]!r} can't be the name of a queue",
                hint=f"use 1 to {self._can.max_queue_name_bytes} bytes of valid UTF-8, without NUL",
            )
        if self._reserved.fullmatch(queue):
            return Unroutable(
                f"{self._where}: {queue[:80]!r} is a name the backend keeps for itself",
                hint="choose another queue",
            )
        return None


def is_queue_name(name: str, max_bytes: int) -> bool:
    """Whether a broker can have a queue of this name: not empty, valid Unicode without NUL, not too long."""
    if not name or len(name) > max_bytes or "\0" in name:
        return False
    try:
        return len(name.encode()) <= max_bytes
    except UnicodeEncodeError:
        return False


def _or_longest(seconds: float | None) -> float:
    return MAX_SPAN_S if seconds is None else seconds
