"""What is taken from one queue: as many messages as somebody waits for, and no more. Used by `consuming.py`.

AMQP pushes. How much it may push is the sum of its consumers' free prefetch, and the window is opened and narrowed so
that it equals what waiting calls ask for. A busy worker asks for as many as it has just settled, so its window stays
as it is and costs nothing; while its runs are short it may be sent as much again (`pace.py`). Callers' threads wait on
the condition; everything about channels is the I/O thread's.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

from pika import exceptions as px

from awf_mq_rabbitmq.failures import broker_error, consumer_timeout_error, consumer_timeout_ms, timeout_error
from awf_mq_rabbitmq.lane import Consumer, Held, Lane
from awf_mq_rabbitmq.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable

    from awf_core.errors import BrokerError
    from awf_mq_rabbitmq.link import Link

LAG_S = 0.005
"""Acks of what a worker has finished are a moment behind its asking for more; they open the window by themselves."""
FIRST_S = 0.05
"""How long after a consumer's start the broker may take to send what is there."""
ANSWER_S = 10.0
IDLE_S = 0.25
"""How long a message may lie here with nobody asking for one before others get it."""
MAX_CONSUMERS = 16
QUIET_ROTATIONS = 4
"""A channel that nothing came by for this many rotations is replaced, see `Subscription.renew`."""


class CancelledByBroker(Exception):
    """The broker ended a consumer: its queue is gone, or it held a message for too long."""


class Subscription:
    """One queue's deliveries. `consume` is thread-safe; what says so is for the I/O thread."""

    def __init__(
        self,
        link: Link,
        queue: str,
        *,
        arguments: dict[str, object],
        rotate_s: float,
        is_held_back: Callable[[], bool],
    ) -> None:
        self.queue = queue
        self.condition = threading.Condition()
        self._link = link
        self._arguments = arguments
        self._rotate_s = rotate_s
        self._is_held_back = is_held_back
        self._wanted = 0
        self._pace = Pace()
        self._inbox: deque[Held] = deque()
        self._lane: Lane | None = None
        self._lanes: set[Lane] = set()
        self._failure: BrokerError | None = None
        self._is_stopped = False
        self._is_asked = False
        self._changing: Lane | None = None
        self._is_watched = False
        self._is_announced = False
        self._ready_at = 0.0

    def consume(self, limit: int, wait_s: float) -> list[Held]:
        """Up to `limit` messages, [] after `wait_s` seconds or when stopped. Raises the contract's errors."""
        if limit <= 0:
            return []
        with self.condition:
            self._wanted += limit
            self._pace.asked(self._wanted)
            try:
                return self._wait(limit, time.monotonic(), wait_s)
            finally:
                self._wanted -= limit

    def stop(self) -> None:
        """End waiting calls and take nothing more; what is here and not handed out goes back."""
        with self.condition:
            self._is_stopped = True
            self.condition.notify_all()
        self._link.post(self._adjust)

    def restart(self) -> None:
        """Let calls wait again."""
        with self.condition:
            self._is_stopped = False

    def went_down(self, error: BrokerError) -> None:
        """The connection is gone, and all its channels with it. On the I/O thread."""
        for lane in list(self._lanes):
            lane.die(error)
        with self.condition:
            self._changing, self._is_asked = None, False
            self.condition.notify_all()

    def renew(self) -> None:
        """Begin anew on a fresh channel; what the old ones hold goes to others. The queue vanished.

        Up to RabbitMQ 3.13 a channel takes up its consumers again by itself when their queue was deleted and is there
        again before the channel has heard of it, and then forgets the queue: what that hands out is dropped, and
        counts as held until the channel ends (seen on 3.10.8).
        """
        self._link.post(self._drop_lanes)

    def _drop_lanes(self) -> None:
        for lane in list(self._lanes):
            self._drop(lane)

    def _wait(self, limit: int, began_at: float, wait_s: float) -> list[Held]:
        """With the condition held."""
        self._raise_failure()
        ask_at = began_at + min(LAG_S, wait_s) if self._holds_any() else began_at
        if self._missing() < 0 or self._is_aged():
            self._ask()
        while not self._is_stopped:
            self._raise_failure()
            if self._inbox:
                return [self._inbox.popleft() for _ in range(min(limit, len(self._inbox)))]
            now = time.monotonic()
            if self._missing() > 0 and now >= ask_at and not (self._is_held_back() and self._holds_any()):
                self._ask()
            end_at = max(began_at + wait_s, self._opening_until(began_at))
            if now >= end_at:
                self._refuse_silence()
                return []
            self.condition.wait((min(end_at, ask_at) if now < ask_at else end_at) - now)
        return []

    def _raise_failure(self) -> None:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        if not self._link.is_up:
            raise self._link.down_error()

    def _missing(self) -> int:
        """How many more the broker would have to be allowed to send; negative = fewer."""
        lane = self._lane
        if lane is None:
            return self._wanted - len(self._inbox)
        window = self._pace.window
        return self._wanted - len(self._inbox) - lane.available if window is None else window - lane.window

    def _holds_any(self) -> bool:
        return any(lane.unsettled for lane in list(self._lanes))

    def _is_aged(self) -> bool:
        lane = self._lane
        return lane is not None and (lane.age_s() > self._rotate_s or lane.quiet_s() > QUIET_ROTATIONS * self._rotate_s)

    def _opening_until(self, began_at: float) -> float:
        """Until when an answer about the window has to be waited for, whatever `wait_s` was."""
        if self._is_asked or self._changing is not None:
            return began_at + ANSWER_S
        return self._ready_at

    def _refuse_silence(self) -> None:
        if self._is_asked or self._changing is not None:
            error = timeout_error(self._link.where, f"consume {self.queue!r}", ANSWER_S)
            self._link.abort(error)
            raise error

    def _ask(self) -> None:
        """Have the I/O thread make the window what it should be."""
        if not self._is_asked and self._changing is None:
            self._is_asked = self._link.post(self._adjust)

    def _adjust(self) -> None:
        """On the I/O thread: one step nearer to a window of what is wanted; the broker's answer brings the next."""
        with self.condition:
            self._is_asked = False
            if self._changing is not None:
                return
            self._changing = self._step()
            if self._changing is None:
                self.condition.notify_all()

    def _step(self) -> Lane | None:
        """Take the next step, if there is one; the channel an answer to it will come by. With the condition held."""
        connection, lane = self._link.connection, self._lane
        if connection is None or not connection.is_open:
            return None
        if self._is_stopped:
            self._give_back()
            return lane if lane is not None and lane.shut(partial(self._stepped, lane)) else None
        if lane is not None and self._is_aged():
            self._lane = None
            answers = lane.shut(partial(self._stepped, lane))
            lane.retire()
            if answers:
                return lane
            lane = None
        missing = self._missing()
        if missing < 0 and lane is not None:
            return lane if lane.narrow(partial(self._stepped, lane)) else None
        if missing <= 0:
            return None
        if lane is None:
            return self._open_lane(connection)
        lane.tidy(MAX_CONSUMERS)
        lane.consume(self.queue, missing, self._arguments, self._arrived, partial(self._opened, lane))
        return lane

    def _open_lane(self, connection: Any) -> Lane:
        def opened(channel: Any) -> None:
            if lane.death is not None:
                lane.close()
                return
            channel.add_on_cancel_callback(lambda _: self._drop(lane))
            with self.condition:
                self._lane = lane
            self._stepped(lane)

        lane = Lane(connection.channel(on_open_callback=opened), self._died, self._pace)
        self._lanes.add(lane)
        return lane

    def _stepped(self, lane: Lane) -> None:
        """The broker did what a step asked of `lane`. Of one that was given up, no answer moves its successor."""
        with self.condition:
            if self._changing is lane:
                self._changing = None
        self._adjust()

    def _opened(self, lane: Lane) -> None:
        """A consumer started: what is there comes now, or there is nothing."""
        with self.condition:
            self._ready_at = time.monotonic() + FIRST_S
        self._stepped(lane)

    def _arrived(self, lane: Lane, consumer: Consumer, method: Any, properties: Any, body: bytes) -> None:
        held = Held(
            lane=lane,
            consumer=consumer,
            tag=method.delivery_tag,
            queue=self.queue,
            properties=properties,
            body=body,
            is_redelivered=bool(method.redelivered),
            arrived_at=time.monotonic(),
        )
        with self.condition:
            lane.take(held)
            self._inbox.append(held)
            if self._is_stopped:
                self._give_back()
            elif not self._is_announced:
                # Once for all that one read of the socket brought: to wake a caller for each would cost more than they.
                self._is_announced = True
                self._link.call_later(0, self._announce)

    def _announce(self) -> None:
        """Something came: for those who wait, and to be given back where nobody comes for it."""
        with self.condition:
            self._is_announced = False
            self.condition.notify_all()
            self._watch(IDLE_S)

    def _watch(self, wait_s: float) -> None:
        if self._inbox and not self._is_watched:
            self._is_watched = True
            self._link.call_later(wait_s, self._give_back_idle)

    def _give_back_idle(self) -> None:
        """Nobody came for it: a worker with free hands elsewhere may have it."""
        with self.condition:
            self._is_watched = False
            waited_s = time.monotonic() - self._inbox[0].arrived_at if self._inbox else 0.0
            if self._wanted or waited_s < IDLE_S:
                self._watch(max(IDLE_S - waited_s, IDLE_S / 5))
                return
            self._pace.slow_down()
            if self._lane is not None:
                self._lane.shut(partial(self._stepped, self._lane))
            self._give_back()

    def _give_back(self) -> None:
        while self._inbox:
            held = self._inbox.pop()
            held.is_settled = True
            held.lane.requeue([held])

    def _drop(self, lane: Lane) -> None:
        lane.die(CancelledByBroker(f"the broker ended the consumer of {self.queue!r}: is the queue still there?"))
        lane.close()

    def _died(self, lane: Lane, reason: BaseException) -> None:
        with self.condition:
            self._lanes.discard(lane)
            self._inbox = deque(held for held in self._inbox if held.lane is not lane)
            was_ours = isinstance(reason, px.ChannelClosedByClient)
            if self._lane is lane:
                self._lane = None
            if self._changing is lane:
                self._changing = None
            if not was_ours:
                self._failure = self._failure_of(lane, reason)
            self.condition.notify_all()

    def _failure_of(self, lane: Lane, reason: BaseException) -> BrokerError | None:
        """What the next call is told; None = it finds out by itself whether there is anything to tell."""
        if not isinstance(reason, px.ChannelClosed):
            return None
        timeout_ms = consumer_timeout_ms(reason)
        if timeout_ms is not None:
            running = [str(held.properties.message_id or f"tag {held.tag}") for held in lane.unsettled.values()]
            return consumer_timeout_error(self._link.where, self.queue, timeout_ms, running[:5])
        return broker_error(reason, where=self._link.where, doing=f"consume {self.queue!r}")
