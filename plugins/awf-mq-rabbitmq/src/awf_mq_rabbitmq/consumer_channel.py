"""A channel with one consumer, and the deliveries it has not acknowledged. `queue_consumer.py` opens and retires it on
the I/O thread.

A delivery belongs to its channel. When the channel closes, the broker redelivers all of them, and none of their tags
may be acknowledged on another channel. Never decides how much to take.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pika import exceptions as px

from awf_mq_rabbitmq.messages import Received

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from awf_mq_rabbitmq.queue_consumer import QueueConsumer

QUICK_S = 0.1
"""How long a prefetched message may wait for the run before it: no other worker would have had it much sooner."""
QUICK_IN_A_ROW = 16
"""So many quick messages in a row raise the prefetch; one that is slow lowers it."""


class CancelledByBroker(Exception):
    """The broker ended a consumer: its queue is gone, or a delivery stayed unacknowledged for too long."""


@dataclass(slots=True, eq=False, kw_only=True)
class UnackedDelivery(Received):
    """A delivery of the broker, the receipt of a `Delivery`.

    arrived_at, settling_since   in monotonic seconds
    journal_id   its number in the journal where it was acknowledged before its run; then it belongs to no channel
    published    what was published for it, so that a repeated settlement publishes nothing twice
    """

    channel: ConsumerChannel
    tag: int
    arrived_at: float
    settling_since: float | None = None
    journal_id: int | None = None
    is_settled: bool = False
    published: dict[object, Any] = field(default_factory=dict)


class AdaptivePrefetch:
    """Whether runs are so short that the broker may send more than the free slots, and how much.

    A delivery counts against the prefetch until it is acknowledged, which is after the broker confirmed its result.
    With runs shorter than that, slots are idle while results are under way (measured in docs/adr/0014). Several threads
    write it; a count that is off by a few does no harm.
    """

    def __init__(self) -> None:
        self._quick = 0
        self._most_wanted = 0

    @property
    def prefetch(self) -> int | None:
        """How much the broker may send in all, acknowledged or not; None = no more than is asked for."""
        return 2 * self._most_wanted if self._is_quick and self._most_wanted else None

    def asked(self, wanted: int) -> None:
        """Callers wait for so many."""
        if self._is_quick:
            self._most_wanted = max(self._most_wanted, wanted)

    def settled(self, run_s: float) -> None:
        """The settling of a delivery began `run_s` seconds after it arrived."""
        if run_s < QUICK_S:
            self._quick += 1
        else:
            self.slow_down()

    def slow_down(self) -> None:
        """A run took long, or no caller came for a message."""
        self._quick = self._most_wanted = 0

    @property
    def _is_quick(self) -> bool:
        return self._quick >= QUICK_IN_A_ROW


def ack_plan(tags: Iterable[int], lowest_left: int | None) -> tuple[int | None, list[int]]:
    """The fewest acknowledgements for `tags` that touch no delivery from `lowest_left` on. Pure.

    The tag up to which all are acknowledged at once, None for no such tag; and those to acknowledge one by one.
    """
    ordered = sorted(tags)
    below = [tag for tag in ordered if lowest_left is None or tag < lowest_left]
    return (below[-1] if below else None), ordered[len(below) :]


class ConsumerChannel:
    """One channel and its consumer. Any thread may read its attributes; all else is for the I/O thread.

    prefetch      how many unacknowledged deliveries the broker allows it
    unacked       its deliveries by tag, oldest first
    is_changing   whether the broker has not yet answered the start or end of the consumer
    is_retired    whether the consumer was ended
    lost_by       why the channel is gone; None = it is not
    """

    def __init__(
        self,
        amqp: Any,
        queue: str,
        prefetch: int,
        arguments: dict[str, object],
        adaptive: AdaptivePrefetch,
        owner: QueueConsumer,
    ) -> None:
        self.queue = queue
        self.prefetch = prefetch
        self.unacked: dict[int, UnackedDelivery] = {}
        self.is_changing = True
        self.is_retired = False
        self.lost_by: BaseException | None = None
        self._arguments = arguments
        self._adaptive = adaptive
        self._owner = owner
        self._active_at = time.monotonic()
        self._when_read: deque[Callable[[], None]] = deque()
        self._consumer_tag = f"awf-{time.monotonic_ns():x}"
        self._amqp = amqp.channel(on_open_callback=self._opened)
        self._amqp.add_on_close_callback(lambda _, reason: self.lose(reason))

    @property
    def available(self) -> int:
        """How many more messages the broker may send now."""
        return 0 if self.is_retired or self.lost_by else max(0, self.prefetch - len(self.unacked))

    def oldest_s(self) -> float:
        """Seconds since its oldest delivery arrived; 0 without any."""
        oldest = next(iter(self.unacked.values()), None)
        return 0.0 if oldest is None else time.monotonic() - oldest.arrived_at

    def quiet_s(self) -> float:
        """Seconds since its last delivery, or since it was opened."""
        return time.monotonic() - self._active_at

    def take(self, delivery: UnackedDelivery) -> None:
        """Count `delivery` as unacknowledged; the owner does so while it stores it."""
        self._active_at = delivery.arrived_at
        self.unacked[delivery.tag] = delivery

    def retire(self) -> None:
        """End the consumer; close the channel once every delivery is settled. What still arrives is requeued."""
        if not self.is_retired and self._reason_lost() is None:
            self.is_retired = self.is_changing = True
            self._amqp.basic_cancel(self._consumer_tag, callback=lambda _: self._answered())
            self._close_when_done()

    def ack(self, deliveries: Sequence[UnackedDelivery]) -> BaseException | None:
        """Acknowledge; why not, where the channel is gone."""
        if self._reason_lost() is None:
            up_to, singly = ack_plan(self._forget(deliveries), next(iter(self.unacked), None))
            for delivery in deliveries:
                if delivery.settling_since is not None:
                    self._adaptive.settled(delivery.settling_since - delivery.arrived_at)
            if up_to is not None:
                self._amqp.basic_ack(up_to, multiple=True)
            for tag in singly:
                self._amqp.basic_ack(tag)
            self._close_when_done()
            return None
        return self._reason_lost()

    def requeue(self, deliveries: Sequence[UnackedDelivery]) -> BaseException | None:
        """Release, to be redelivered at once, which the broker counts; why not, where the channel is gone."""
        if self._reason_lost() is None:
            for tag in self._forget(deliveries):
                self._amqp.basic_nack(tag, requeue=True)
            self._close_when_done()
            return None
        return self._reason_lost()

    def accept(self, deliveries: Sequence[UnackedDelivery]) -> BaseException | None:
        """Acknowledge before the run; why not, where the channel is gone.

        The consumer ends first: the broker would fill the prefetch that this frees with messages no caller asked for.
        """
        self.retire()
        return self.ack(deliveries)

    def when_read(self, act: Callable[[], None]) -> None:
        """Call `act` once the broker has read all that was sent so far, or the channel is gone.

        An acknowledgement has no answer. The broker reads it before the request, or the close, that is sent after it.
        """
        if self.lost_by is not None:
            act()
            return
        self._when_read.append(act)
        if self._amqp.is_open:
            self._amqp.basic_qos(prefetch_count=1, callback=lambda _: self._was_read())

    def lose(self, reason: BaseException) -> None:
        """The channel is gone, or its deliveries are ours no more."""
        if self.lost_by is not None:
            return
        self.lost_by = reason
        while self._when_read:
            self._was_read()
        self._owner.closed(self, reason)

    def drop(self) -> None:
        """Lose the deliveries and close the channel: the queue is gone."""
        self.lose(CancelledByBroker(f"the broker ended the consumer of {self.queue!r}: is the queue still there?"))
        if self._amqp.is_open:
            self._amqp.close()

    def _opened(self, amqp: Any) -> None:
        if self.lost_by is not None:
            amqp.close()
            return
        amqp.add_on_cancel_callback(lambda _: self.drop())
        amqp.basic_qos(prefetch_count=self.prefetch)
        amqp.basic_consume(
            self.queue,
            self._deliver,
            consumer_tag=self._consumer_tag,
            arguments=self._arguments,
            callback=lambda _: self._answered(),
        )

    def _deliver(self, _amqp: Any, method: Any, raw_properties: bytes, body: bytes) -> None:
        delivery = UnackedDelivery(
            channel=self,
            tag=method.delivery_tag,
            queue=self.queue,
            raw_properties=raw_properties,
            body=body,
            is_redelivered=bool(method.redelivered),
            arrived_at=time.monotonic(),
        )
        self._owner.arrived(delivery)

    def _answered(self) -> None:
        if self.lost_by is None:
            self.is_changing = False
            self._owner.changed(self)

    def _was_read(self) -> None:
        if self._when_read:
            self._when_read.popleft()()

    def _reason_lost(self) -> BaseException | None:
        if self.lost_by is None and not self._amqp.is_open:
            closing: BaseException = px.ChannelWrongStateError("the channel is closing")
            return closing
        return self.lost_by

    def _forget(self, deliveries: Sequence[UnackedDelivery]) -> list[int]:
        """The tags that are still to be settled, in order. An unknown tag would cost the channel."""
        return [each.tag for each in deliveries if self.unacked.pop(each.tag, None) is not None]

    def _close_when_done(self) -> None:
        if self.is_retired and not self.unacked and self._amqp.is_open:
            # The library sends it after the answers that are still open.
            self._amqp.close()
