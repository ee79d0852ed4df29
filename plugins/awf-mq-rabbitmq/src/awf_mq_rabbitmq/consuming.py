"""Deliveries in and their ends out, on the connection that never publishes. Called by `backend.py` and `settling.py`.

An acknowledgement goes by the channel that the delivery came by, and AMQP has no answer to it. One whose channel is
gone is LeaseLost, since the broker has given the message to somebody else.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

from pika import exceptions as px

from awf_core.errors import BrokerError, LeaseLost, QueueMissing
from awf_mq_rabbitmq.failures import (
    closed_error,
    consumer_timeout_ms,
    reply_text,
    root_cause,
    timeout_hint,
)
from awf_mq_rabbitmq.lane import Held, Lane
from awf_mq_rabbitmq.link import Link
from awf_mq_rabbitmq.subscription import Subscription

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from awf_core.contract import Delivery
    from awf_mq_rabbitmq.parameters import Target

ROTATE_S = 15.0
"""New deliveries don't share a channel with one that has run for longer: the broker ends channels, not deliveries."""
READ_S = 10.0
"""How long to wait until the broker has read an acknowledgement; after that, whether it has is in doubt."""

log = logging.getLogger("awf_mq_rabbitmq")


class Consuming:
    """The consuming connection and its subscriptions. Thread-safe."""

    def __init__(self, target: Target, *, is_held_back: Callable[[], bool]) -> None:
        self._target = target
        self._is_held_back = is_held_back
        timeout_s = target.settings.consumer_timeout_s
        self._arguments: dict[str, object] = {"x-consumer-timeout": round(timeout_s * 1000)}
        self._rotate_s = min(ROTATE_S, timeout_s / 10)
        self._lock = threading.Lock()
        self._subscriptions: dict[str, Subscription] = {}
        self._is_stopped = False
        self.link = Link(target, "consuming", self)

    def open(self) -> None:
        """Connect, and let calls wait again. Raises the contract's errors."""
        self.link.ensure_up()
        with self._lock:
            self._is_stopped = False
            subscriptions = list(self._subscriptions.values())
        for subscription in subscriptions:
            subscription.restart()

    def interrupt(self) -> None:
        """End waiting calls and the later ones, until the next open."""
        with self._lock:
            self._is_stopped = True
            subscriptions = list(self._subscriptions.values())
        for subscription in subscriptions:
            subscription.stop()

    def close(self) -> None:
        """End waiting calls, then the connection; whatever is held goes back."""
        self.interrupt()
        self.link.close()

    def consume(self, queue: str, limit: int, wait_s: float, recreate: Callable[[str], bool]) -> list[Held]:
        """Up to `limit` of `queue`. `recreate(queue)` makes a queue that vanished anew, if it may."""
        if self._is_stopped:
            return []
        self.link.ensure_up()
        subscription = self._subscription(queue)
        try:
            return subscription.consume(limit, wait_s)
        except QueueMissing:
            if not recreate(queue):
                raise
            return subscription.consume(limit, wait_s)

    def renew(self, queue: str) -> None:
        """The queue vanished: whatever consumed it begins anew."""
        with self._lock:
            subscription = self._subscriptions.get(queue)
        if subscription is not None:
            subscription.renew()

    def held(self, delivery: Delivery) -> Held | LeaseLost:
        """The original behind a delivery, or why it is not ours to settle."""
        held = delivery.receipt
        if not isinstance(held, Held):
            return LeaseLost(
                f"{self._target.where}: delivery of {delivery.queue!r} has a receipt this backend never gave",
                hint="settle deliveries with the backend that handed them out",
            )
        if held.is_settled:
            return LeaseLost(
                f"{self._target.where}: {_name(held)} was settled before, or went back", hint="nothing was changed"
            )
        if held.entry is not None or held.lane.death is None:
            return held
        return self._lost(held, held.lane.death)

    def ack(self, helds: Sequence[Held]) -> list[LeaseLost | None]:
        """Acknowledge; None for each that was written to its channel."""
        return self._settle(helds, Lane.ack)

    def accept(self, helds: Sequence[Held]) -> list[LeaseLost | None]:
        """Acknowledge before the run; None for each whose acknowledgement the broker has read, or was sent."""
        answers = self._settle(helds, Lane.accept)
        self._await_read({held.lane for held, answer in zip(helds, answers, strict=True) if answer is None})
        return answers

    def _await_read(self, lanes: Iterable[Lane]) -> None:
        for lane in lanes:
            is_read = threading.Event()
            if self.link.post(partial(lane.when_read, is_read.set)):
                is_read.wait(READ_S)
            if not is_read.is_set() or lane.death is not None:
                log.warning(
                    "%s: messages that are about to run may be handed out again: whether the broker has read their "
                    "acknowledgements is in doubt",
                    self._target.where,
                )

    def requeue(self, helds: Sequence[Held]) -> list[LeaseLost | None]:
        """Give back at once; None for each that was written to its channel."""
        return self._settle(helds, Lane.requeue)

    def went_up(self, _connection: Any) -> None:
        """Part of the link: channels are opened when they are needed."""
        self.link.is_ready_now()

    def went_down(self, error: BrokerError) -> None:
        """Part of the link: every channel is gone."""
        with self._lock:
            subscriptions = list(self._subscriptions.values())
        for subscription in subscriptions:
            subscription.went_down(error)

    def _subscription(self, queue: str) -> Subscription:
        with self._lock:
            found = self._subscriptions.get(queue)
            if found is None:
                found = self._subscriptions[queue] = Subscription(
                    self.link,
                    queue,
                    arguments=self._arguments,
                    rotate_s=self._rotate_s,
                    is_held_back=self._is_held_back,
                )
            return found

    def _settle(
        self, helds: Sequence[Held], end: Callable[[Lane, Sequence[Held]], BaseException | None]
    ) -> list[LeaseLost | None]:
        by_lane: dict[Lane, list[Held]] = defaultdict(list)
        for held in helds:
            held.is_settled = True
            by_lane[held.lane].append(held)
        ended: Future[dict[Lane, BaseException | None]] = Future()

        def act() -> None:
            ended.set_result({lane: _ended(lane, ours, end) for lane, ours in by_lane.items()})

        if not self.link.post(act):
            return [self._lost(held, closed_error(self._target.where, "settle")) for held in helds]
        reasons = ended.result()
        return [None if (reason := reasons[held.lane]) is None else self._lost(held, reason) for held in helds]

    def _lost(self, held: Held, reason: BaseException) -> LeaseLost:
        timeout_ms = consumer_timeout_ms(reason)
        hint = "the broker hands it out again; steps see the same AWF_MESSAGE_ID, so that they can be idempotent"
        return LeaseLost(
            f"{self._target.where}: {_name(held)} is not ours any more, its channel is gone: "
            f"{reply_text(root_cause(reason))}",
            hint=hint if timeout_ms is None else timeout_hint(timeout_ms),
        )


def _ended(
    lane: Lane, helds: Sequence[Held], end: Callable[[Lane, Sequence[Held]], BaseException | None]
) -> BaseException | None:
    """What became of one channel's; an error of one says nothing of what another has sent."""
    try:
        return end(lane, helds)
    except px.AMQPError as error:
        reason: BaseException = error
        return reason


def _name(held: Held) -> str:
    message_id = held.properties.message_id
    return f"delivery {message_id!r} of {held.queue!r}" if message_id else f"a delivery of {held.queue!r}"
