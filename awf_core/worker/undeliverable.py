"""Store results that can't be delivered where an operator finds them. Called by the settler, on its thread.

A result is stored before its message is settled, never with it: a broker may refuse the pair again, and the run must
not be repeated.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from awf_core.crash_points import crash_point
from awf_core.errors import BodyTooLarge, BrokerError, BrokerMisconfigured, QueueMissing, Unroutable
from awf_core.message import clean_text
from awf_core.observe import events
from awf_core.observe.log import get_logger
from awf_core.result import shortened
from awf_core.worker.failures import UNEXPECTED, checked_answers, log_internal_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awf_core.contract import Outgoing
    from awf_core.mq import Mq
    from awf_core.observe.throttle import Throttle

UNDELIVERABLE = (Unroutable, QueueMissing, BodyTooLarge, BrokerMisconfigured)
"""A reply refused with one of these is refused again: its address is wrong, not the moment."""

log = get_logger(__name__)


class UndeliverableResults:
    """The undeliverable queue, as the settler sees it."""

    def __init__(self, mq: Mq, queue: str, throttle: Throttle) -> None:
        self._mq = mq
        self._queue = queue
        self._throttle = throttle

    def store(self, replies: Sequence[Outgoing], *, message_id: str | None, why: str) -> BrokerError | None:
        """Publish `replies` to the undeliverable queue; returns what kept the broker from storing them."""
        stored = [_addressed(reply, self._queue, why) for reply in replies]
        crash_point("settle.before_redirect")
        failed = self._publish(stored)
        if isinstance(failed, BodyTooLarge):
            failed = self._publish([_shortened(reply) for reply in stored])
        if failed is not None:
            return failed
        crash_point("settle.redirected")
        for reply in replies:
            log.warning(
                events.REPLY_UNDELIVERABLE,
                message_id=message_id,
                reply_to=reply.queue,
                kept_in=self._queue,
                error=why,
            )
        return None

    def _publish(self, replies: Sequence[Outgoing]) -> BrokerError | None:
        """Publish; returns the first error."""
        try:
            # A list of its own: a wrapper may take out of it what it sends elsewhere.
            answers = checked_answers(self._mq.publish(list(replies)), len(replies))
        except BrokerError as exc:
            return exc
        except UNEXPECTED as exc:
            log_internal_error(self._throttle)
            return BrokerError(f"the backend broke: {type(exc).__name__}")
        return next((error for error in answers if error is not None), None)


def _addressed(reply: Outgoing, queue: str, why: str) -> Outgoing:
    """`reply` as it is stored: same body, with where it should have gone and why it could not."""
    headers = {**reply.headers, "awf-reply-to": clean_text(reply.queue[:255])}
    headers["awf-undeliverable"] = clean_text(why[:500])
    return replace(reply, queue=queue, headers=headers, expires_s=None)


def _shortened(reply: Outgoing) -> Outgoing:
    """`reply` where even the queue of last resort is too small for it."""
    headers = {**reply.headers, "awf-shortened-from-bytes": str(len(reply.body))}
    return replace(reply, body=shortened(reply.body), headers=headers)
