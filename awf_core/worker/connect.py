"""Reach the broker at start, and make sure the queues are there. Effects only; what to do next is the caller's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from awf_core.backoff import Backoff
from awf_core.errors import BrokerBlocked, BrokerUnavailable
from awf_core.observe import events
from awf_core.observe.log import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from awf_core.clock import Clock
    from awf_core.mq import Mq
    from awf_core.observe.throttle import Throttle

log = get_logger(__name__)


def connect(
    mq: Mq,
    prepare: Callable[[], None],
    *,
    timeout_s: float,
    clock: Clock,
    throttle: Throttle,
    wait: Callable[[float], bool],
) -> bool:
    """Open `mq` and run `prepare`, again and again while the broker is away, for at most `timeout_s` seconds.

    `wait(seconds)` sleeps and says whether to give up early; then the answer is False. Raises what retrying can't
    mend at once (BrokerMisconfigured, QueueMissing), and the last BrokerUnavailable when the time is over.
    """
    backoff = Backoff()
    end = clock.monotonic() + timeout_s
    while True:
        try:
            mq.open()
            prepare()
        except (BrokerUnavailable, BrokerBlocked) as exc:
            wait_s = backoff.next_s()
            if clock.monotonic() + wait_s > end:
                raise
            muted = throttle.take("broker")
            if muted is not None:
                log.warning(events.BROKER_UNAVAILABLE, error=str(exc), hint=exc.hint, retry_in_s=round(wait_s, 2))
            if wait(wait_s):
                return False
        else:
            return True


def ensure_queues(mq: Mq, queues: Sequence[str], *, dead_letter_queue: str | None, undeliverable_queue: str) -> None:
    """The queues a worker needs: what it consumes, and where it puts letters and results nobody takes."""
    for queue in queues:
        mq.ensure(queue, "work", dead_letter=dead_letter_queue)
    if dead_letter_queue is not None:
        mq.ensure(dead_letter_queue, "dead")
    mq.ensure(undeliverable_queue, "dead")
