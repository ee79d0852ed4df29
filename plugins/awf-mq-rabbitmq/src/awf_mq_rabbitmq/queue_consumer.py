"""The consumer of one queue: its channels, its prefetch, and what the broker pushed and no caller has taken yet.
`consuming.py` makes it.

AMQP pushes. What the broker may push is the free prefetch of the consumers, which is kept equal to what callers ask
for. A consumer's prefetch is fixed (quorum queues know no other), so each has a channel of its own: to take more opens
one, to take less retires those with free prefetch. A busy worker asks for as many as it has just settled, so nothing
changes. Callers wait on the condition; everything about channels is the I/O thread's.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from pika import exceptions as px

from awf_mq_rabbitmq.consumer_channel import AdaptivePrefetch, ConsumerChannel, UnackedDelivery
from awf_mq_rabbitmq.failures import broker_error, consumer_timeout_error, consumer_timeout_ms, timeout_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from awf_core.errors import BrokerError
    from awf_mq_rabbitmq.connection import Connection
    from awf_mq_rabbitmq.crash_evidence import CrashEvidence

ROTATE_S = 15.0
"""A channel whose oldest delivery is older takes no new ones: over a timeout the broker closes the whole channel."""
QUIET_ROTATIONS = 4
"""A channel without deliveries for this many rotations is replaced, see `QueueConsumer.renew`."""
LAG_S = 0.005
"""The acks of what a worker has finished arrive a moment after it asks for more; they free prefetch by themselves."""
FIRST_S = 0.05
"""How long after a consumer's start the broker may take to deliver what is there."""
ANSWER_S = 10.0
IDLE_S = 0.25
"""How long a message may wait here for a caller before it is released."""
MAX_CHANNELS = 16


class QueueConsumer:
    """The deliveries of one queue. `consume` is thread-safe; what says so is for the I/O thread."""

    def __init__(
        self,
        connection: Connection,
        queue: str,
        *,
        timeout_s: float,
        is_publishing_blocked: Callable[[], bool],
        evidence: CrashEvidence,
    ) -> None:
        self.queue = queue
        self._connection = connection
        self._arguments: dict[str, object] = {"x-consumer-timeout": round(timeout_s * 1000)}
        self._rotate_s = min(ROTATE_S, timeout_s / 10)
        self._is_publishing_blocked = is_publishing_blocked
        self._evidence = evidence
        self._condition = threading.Condition()
        self._wanted = 0
        self._adaptive = AdaptivePrefetch()
        self._inbox: deque[UnackedDelivery] = deque()
        self._channels: list[ConsumerChannel] = []
        self._failure: BrokerError | None = None
        self._is_stopped = False
        self._is_adjusting = False
        self._is_watched = False
        self._is_announced = False
        self._first_until = 0.0

    def consume(self, limit: int, wait_s: float) -> list[UnackedDelivery]:
        """Up to `limit` messages, [] after `wait_s` seconds or when stopped. Raises the contract's errors."""
        if limit <= 0:
            return []
        with self._condition:
            self._wanted += limit
            self._adaptive.asked(self._wanted)
            try:
                return self._wait(limit, time.monotonic(), wait_s)
            finally:
                self._wanted -= limit

    @property
    def channels(self) -> list[ConsumerChannel]:
        """The channels that are open, or about to be."""
        return list(self._channels)

    def stop(self) -> None:
        """End waiting calls and take nothing more; release what no caller has got."""
        with self._condition:
            self._is_stopped = True
            self._condition.notify_all()
        self._connection.post(self._adjust)

    def restart(self) -> None:
        """Let calls wait again."""
        with self._condition:
            self._is_stopped = False

    def renew(self) -> None:
        """Start anew on a fresh channel; the deliveries of the old ones are lost. The queue vanished.

        Up to RabbitMQ 3.13 a channel takes up its consumers again by itself when their queue was deleted and is there
        again before the channel has heard of it, and then forgets the queue: what that delivers is dropped, and counts
        as unacknowledged until the channel ends (seen on 3.10.8).
        """
        self._connection.post(self._drop_channels)

    def _drop_channels(self) -> None:
        for channel in list(self._channels):
            channel.drop()

    def connection_lost(self, error: BrokerError) -> None:
        """The connection is gone, and all channels with it. On the I/O thread."""
        for channel in list(self._channels):
            channel.lose(error)
        with self._condition:
            self._is_adjusting = False
            self._condition.notify_all()

    def _wait(self, limit: int, began_at: float, wait_s: float) -> list[UnackedDelivery]:
        """With the condition held."""
        self._raise_failure()
        ask_at = began_at + min(LAG_S, wait_s) if self._has_unacked() else began_at
        if self._missing() < 0 or self._is_split() or any(map(self._is_aged, self._consuming())):
            self._ask()
        while not self._is_stopped:
            self._raise_failure()
            if self._inbox:
                return [self._inbox.popleft() for _ in range(min(limit, len(self._inbox)))]
            now = time.monotonic()
            if self._missing() > 0 and now >= ask_at and not (self._is_publishing_blocked() and self._has_unacked()):
                self._ask()
            end_at = max(began_at + wait_s, began_at + ANSWER_S if self._is_changing() else self._first_until)
            if now >= end_at:
                self._raise_silence()
                return []
            self._condition.wait((min(end_at, ask_at) if now < ask_at else end_at) - now)
        return []

    def _raise_failure(self) -> None:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        if not self._connection.is_ready:
            raise self._connection.unready_error()

    def _raise_silence(self) -> None:
        if self._is_changing():
            error = timeout_error(self._connection.where, f"consume {self.queue!r}", ANSWER_S)
            self._connection.abort(error)
            raise error

    def _consuming(self) -> list[ConsumerChannel]:
        return [channel for channel in list(self._channels) if not channel.is_retired]

    def _has_unacked(self) -> bool:
        return any(channel.unacked for channel in list(self._channels))

    def _is_changing(self) -> bool:
        """Whether an answer of the broker about the consumers is to come."""
        return self._is_adjusting or any(channel.is_changing for channel in list(self._channels))

    def _missing(self) -> int:
        """How many more the broker would have to be allowed to send; negative = fewer."""
        prefetch = self._adaptive.prefetch
        if prefetch is not None:
            return prefetch - sum(channel.prefetch for channel in self._consuming())
        return self._wanted - len(self._inbox) - sum(channel.available for channel in self._consuming())

    def _is_split(self) -> bool:
        """Whether several consumers do what one could: its deliveries are acknowledged in fewer steps."""
        return self._adaptive.prefetch is not None and len(self._consuming()) > 1

    def _is_aged(self, channel: ConsumerChannel) -> bool:
        return channel.oldest_s() > self._rotate_s or channel.quiet_s() > QUIET_ROTATIONS * self._rotate_s

    def _ask(self) -> None:
        """Have the I/O thread adjust the consumers to what is wanted."""
        if not self._is_changing():
            self._is_adjusting = self._connection.post(self._adjust)

    def _adjust(self) -> None:
        """On the I/O thread: one step nearer to what is wanted. The broker's answer brings the next."""
        with self._condition:
            self._is_adjusting = False
            amqp = self._connection.amqp
            if amqp is not None and amqp.is_open and not self._is_changing():
                self._retire()
                missing = self._missing()
                if not self._is_stopped and missing > 0 and not self._is_changing():
                    channel = ConsumerChannel(amqp, self.queue, missing, self._arguments, self._adaptive, self)
                    self._channels.append(channel)
            if not self._is_changing():
                self._condition.notify_all()

    def _retire(self) -> None:
        """End the consumers that take too much, are aged, or are one too many."""
        if self._is_stopped:
            self._release_inbox()
        consuming = self._consuming()
        missing = self._missing()
        are_small = self._is_split() or (missing > 0 and self._adaptive.prefetch is not None)
        for channel in consuming:
            # An ack frees prefetch of a full consumer too, so with the end of all it ends as well.
            takes_too_much = missing < 0 and channel.available
            is_one_too_many = len(consuming) > MAX_CHANNELS and not channel.available
            if self._is_stopped or takes_too_much or are_small or is_one_too_many or self._is_aged(channel):
                channel.retire()

    def changed(self, channel: ConsumerChannel) -> None:
        """Its consumer has started, or has ended. After a start the broker delivers what is there at once."""
        if not channel.is_retired:
            with self._condition:
                self._first_until = time.monotonic() + FIRST_S
        self._adjust()

    def arrived(self, delivery: UnackedDelivery) -> None:
        """The broker delivered a message. On the I/O thread."""
        with self._condition:
            delivery.channel.take(delivery)
            self._inbox.append(delivery)
            if self._is_stopped:
                self._release_inbox()
            elif not self._is_announced:
                # Once for all that one read of the socket brought: to wake a caller for each would cost more than they.
                self._is_announced = True
                self._connection.call_later(0, self._announce)

    def closed(self, channel: ConsumerChannel, reason: BaseException) -> None:
        """The channel is gone with all its deliveries. On the I/O thread."""
        with self._condition:
            if channel in self._channels:
                self._channels.remove(channel)
                self._note_lost(channel)
            self._inbox = deque(delivery for delivery in self._inbox if delivery.channel is not channel)
            if not isinstance(reason, px.ChannelClosedByClient):
                self._failure = self._failure_of(channel, reason)
            self._condition.notify_all()

    def _note_lost(self, channel: ConsumerChannel) -> None:
        """With the condition held."""
        unread = {delivery for delivery in self._inbox if delivery.channel is channel}
        self._evidence.unread(unread)
        self._evidence.lost([delivery for delivery in channel.unacked.values() if delivery not in unread])

    def _announce(self) -> None:
        """Messages arrived: wake callers, and release what no caller comes for."""
        with self._condition:
            self._is_announced = False
            self._condition.notify_all()
            self._watch(IDLE_S)

    def _watch(self, wait_s: float) -> None:
        if self._inbox and not self._is_watched:
            self._is_watched = True
            self._connection.call_later(wait_s, self._release_idle)

    def _release_idle(self) -> None:
        """No caller came: a worker with free slots may have it."""
        with self._condition:
            self._is_watched = False
            waited_s = time.monotonic() - self._inbox[0].arrived_at if self._inbox else 0.0
            if self._wanted or waited_s < IDLE_S:
                self._watch(max(IDLE_S - waited_s, IDLE_S / 5))
                return
            self._adaptive.slow_down()
            for channel in self._consuming():
                channel.retire()
            self._release_inbox()

    def _release_inbox(self) -> None:
        while self._inbox:
            delivery = self._inbox.pop()
            delivery.is_settled = True
            self._evidence.unread([delivery])
            delivery.channel.requeue([delivery])

    def _failure_of(self, channel: ConsumerChannel, reason: BaseException) -> BrokerError | None:
        """The error for the next call; None = it finds out by itself whether there is one."""
        if not isinstance(reason, px.ChannelClosed):
            return None
        timeout_ms = consumer_timeout_ms(reason)
        if timeout_ms is not None:
            running = [str(each.properties.message_id or f"tag {each.tag}") for each in channel.unacked.values()]
            return consumer_timeout_error(self._connection.where, self.queue, timeout_ms, running[:5])
        return broker_error(reason, where=self._connection.where, doing=f"consume {self.queue!r}")
