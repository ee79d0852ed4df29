"""A channel that consumes one queue, and the deliveries it holds. Used by `subscription.py`, on the I/O thread.

Its deliveries are bound to it: when the channel closes the broker gives all of them to others, and no tag of it may be
acknowledged elsewhere. Never decides what to take.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pika import exceptions as px

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from awf_mq_rabbitmq.pace import Pace


@dataclass(slots=True, eq=False)
class Consumer:
    """A consumer of the broker's: it is sent messages while it holds fewer than `prefetch`."""

    tag: str
    prefetch: int
    held: int = 0
    is_active: bool = True

    @property
    def available(self) -> int:
        """How many more the broker may send it now."""
        return max(0, self.prefetch - self.held) if self.is_active else 0


@dataclass(slots=True, eq=False)
class Held:
    """The original of a delivery: what is behind its receipt.

    `arrived_at` and `ended_at` (when its settling began) in monotonic seconds, `seen_at_s` (when it was handed out) in
    epoch seconds; `sent` remembers what was published on its behalf. `entry` is its number in the journal where it was
    acknowledged before it was run: it is bound to no channel then.
    """

    lane: Lane
    consumer: Consumer
    tag: int
    queue: str
    properties: Any
    body: bytes
    is_redelivered: bool
    arrived_at: float
    seen_at_s: float = 0.0
    ended_at: float | None = None
    entry: int | None = None
    is_settled: bool = False
    sent: dict[object, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AckPlan:
    """How to acknowledge: everything up to a tag at once, and these one by one."""

    up_to: int | None
    singly: tuple[int, ...]


def ack_plan(tags: Iterable[int], lowest_left: int | None) -> AckPlan:
    """The fewest acknowledgements for `tags` that touch no delivery from `lowest_left` on. Pure."""
    ordered = sorted(tags)
    below = [tag for tag in ordered if lowest_left is None or tag < lowest_left]
    return AckPlan(up_to=below[-1] if below else None, singly=tuple(ordered[len(below) :]))


class Lane:
    """One channel. Everything but reading `available`, `death` and `unsettled`'s length is for the I/O thread."""

    def __init__(self, channel: Any, on_death: Callable[[Lane, BaseException], None], pace: Pace) -> None:
        self.channel = channel
        self.death: BaseException | None = None
        self.unsettled: dict[int, Held] = {}
        self.consumers: dict[str, Consumer] = {}
        self.is_retired = False
        self._heard_at = time.monotonic()
        self._on_death = on_death
        self._pace = pace
        self._when_read: deque[Callable[[], None]] = deque()
        channel.add_on_close_callback(lambda _, reason: self.die(reason))

    @property
    def available(self) -> int:
        """How many more messages the broker may send on this channel now."""
        return 0 if self.death is not None else sum(consumer.available for consumer in self.consumers.values())

    @property
    def window(self) -> int:
        """How many messages the broker may have sent on this channel at once."""
        return 0 if self.death is not None else sum(each.prefetch for each in self.consumers.values() if each.is_active)

    def age_s(self) -> float:
        """Seconds that its oldest delivery has been held; 0 without any."""
        oldest = next(iter(self.unsettled.values()), None)
        return 0.0 if oldest is None else time.monotonic() - oldest.arrived_at

    def quiet_s(self) -> float:
        """Seconds since a delivery came by it, or since it was opened."""
        return time.monotonic() - self._heard_at

    def take(self, held: Held) -> None:
        """A delivery came: it is ours until it is settled."""
        self._heard_at = held.arrived_at
        held.consumer.held += 1
        self.unsettled[held.tag] = held

    def consume(
        self,
        queue: str,
        prefetch: int,
        arguments: dict[str, object],
        on_message: Callable[[Lane, Consumer, Any, Any, bytes], None],
        on_started: Callable[[], None],
    ) -> None:
        """Have the broker send up to `prefetch` more."""
        channel = self.channel
        tag = f"awf-{channel.channel_number}-{len(self.consumers)}-{time.monotonic_ns():x}"
        consumer = Consumer(tag=tag, prefetch=prefetch)
        self.consumers = {**{t: c for t, c in self.consumers.items() if c.is_active or c.held}, tag: consumer}
        channel.basic_qos(prefetch_count=prefetch)
        channel.basic_consume(
            queue,
            lambda _, method, properties, body: on_message(self, consumer, method, properties, body),
            consumer_tag=tag,
            arguments=arguments,
            callback=lambda _: self._answered(on_started),
        )

    def narrow(self, on_cancelled: Callable[[], None]) -> int:
        """End the consumers that may be sent something now; returns how many answers will come."""
        return self._end([consumer for consumer in self.consumers.values() if consumer.available], on_cancelled)

    def shut(self, on_cancelled: Callable[[], None]) -> int:
        """End every consumer; returns how many answers will come. An ack opens a full one again, so these go too."""
        return self._end([consumer for consumer in self.consumers.values() if consumer.is_active], on_cancelled)

    def tidy(self, most: int) -> None:
        """End consumers that are full, where there are more than `most`: their acks open nothing any more."""
        active = [consumer for consumer in self.consumers.values() if consumer.is_active]
        if len(active) > most:
            self._end([consumer for consumer in active if not consumer.available], None)

    def retire(self) -> None:
        """Close it once all it holds is settled."""
        self.is_retired = True
        self._close_when_done()

    def ack(self, helds: Sequence[Held]) -> BaseException | None:
        """Acknowledge; why not, where the channel is gone."""
        if self._reason_gone() is None:
            plan = ack_plan(self._forget(helds), next(iter(self.unsettled), None))
            for held in helds:
                if held.ended_at is not None:
                    self._pace.settled(held.ended_at - held.arrived_at)
            if plan.up_to is not None:
                self.channel.basic_ack(plan.up_to, multiple=True)
            for tag in plan.singly:
                self.channel.basic_ack(tag)
            self._close_when_done()
            return None
        return self._reason_gone()

    def accept(self, helds: Sequence[Held]) -> BaseException | None:
        """Acknowledge what is about to run; why not, where the channel is gone.

        The consumers end before: the prefetch this frees would be filled, by messages that nobody asked for.
        """
        if self._reason_gone() is None:
            self._end([consumer for consumer in self.consumers.values() if consumer.is_active], None)
        return self.ack(helds)

    def when_read(self, act: Callable[[], None]) -> None:
        """Call `act` once the broker has read all that was sent so far, or the channel is gone.

        Acknowledgements have no answer; they are read before the question that is asked after them.
        """
        if self._reason_gone() is not None:
            act()
            return
        self._when_read.append(act)
        self.channel.basic_qos(prefetch_count=1, callback=lambda _: self._was_read())

    def requeue(self, helds: Sequence[Held]) -> BaseException | None:
        """Give back, to be handed out again at once, which the broker counts; why not, where the channel is gone."""
        if self._reason_gone() is None:
            for tag in self._forget(helds):
                self.channel.basic_nack(tag, requeue=True)
            self._close_when_done()
            return None
        return self._reason_gone()

    def die(self, reason: BaseException) -> None:
        """The channel is gone, or what it holds is no longer ours."""
        if self.death is not None:
            return
        self.death = reason
        while self._when_read:
            self._was_read()
        self._on_death(self, reason)

    def close(self) -> None:
        """Close the channel."""
        if self.channel.is_open:
            self.channel.close()

    def _was_read(self) -> None:
        if self._when_read:
            self._when_read.popleft()()

    def _end(self, going: Sequence[Consumer], on_cancelled: Callable[[], None] | None) -> int:
        for consumer in going:
            consumer.is_active = False
            answered = None if on_cancelled is None else lambda _: self._answered(on_cancelled)
            self.channel.basic_cancel(consumer.tag, callback=answered)
        return len(going)

    def _answered(self, act: Callable[[], None]) -> None:
        """Of a channel that is given up, the close waits behind open questions; nobody waits for their answers."""
        if self.death is None:
            act()

    def _reason_gone(self) -> BaseException | None:
        if self.death is None and not self.channel.is_open:
            closing: BaseException = px.ChannelWrongStateError("the channel is closing")
            return closing
        return self.death

    def _forget(self, helds: Sequence[Held]) -> list[int]:
        """The tags that are still to be settled, in order. An unknown tag would cost the channel."""
        ours = [held for held in helds if self.unsettled.pop(held.tag, None) is not None]
        for held in ours:
            held.consumer.held -= 1
        return [held.tag for held in ours]

    def _close_when_done(self) -> None:
        if self.is_retired and not self.unsettled and self.channel.is_open:
            # Queued by the library behind questions that are still open.
            self.channel.close()
