"""Ends deliveries: publishes what goes out for them, waits for the confirms, then acknowledges. `backend.py` calls it.

A crash in between has the message done again, never lost. A call that is repeated because a publisher confirm was late
waits for that confirm, and publishes nothing twice. An acknowledgement goes by the channel of its delivery, and AMQP
has no answer to it; where that channel is gone the broker redelivers the message, and the answer is LeaseLost.
"""

from __future__ import annotations

import time
from collections import defaultdict
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from pika import exceptions as px

from awf_core.contract import Ack, DeadLetter, Nack
from awf_core.errors import BrokerError, BrokerMisconfigured, LeaseLost
from awf_mq_rabbitmq.consumer_channel import ConsumerChannel, UnackedDelivery
from awf_mq_rabbitmq.failures import closed_error, consumer_timeout_ms, reply_text, root_cause, timeout_hint
from awf_mq_rabbitmq.messages import dead_copy, ended, outgoing, retry_copy, unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from awf_core.clock import Clock
    from awf_core.contract import Delivery, Outgoing
    from awf_mq_rabbitmq.connection import Connection
    from awf_mq_rabbitmq.publishing import PendingPublish, Publishing
    from awf_mq_rabbitmq.roles import Roles

    Make = Callable[[], PendingPublish]
    End = Callable[[ConsumerChannel, Sequence[UnackedDelivery]], BaseException | None]

Answers = list[BrokerError | None]
Item = TypeVar("Item", Ack, Nack, DeadLetter)


class Settling:
    """Ends deliveries that came by `connection`. Thread-safe."""

    def __init__(
        self, connection: Connection, publishing: Publishing, roles: Roles, clock: Clock, reply_ttl_s: float
    ) -> None:
        self._connection = connection
        self._publishing = publishing
        self._roles = roles
        self._clock = clock
        self._reply_ttl_s = reply_ttl_s

    def ack(self, acks: Sequence[Ack]) -> Answers:
        """Publish the replies, then acknowledge."""
        return self._settle(acks, self._replies_of)

    def nack(self, nacks: Sequence[Nack]) -> Answers:
        """Publish copies for the retries, then acknowledge. A plain release needs no copy: the broker requeues it."""
        answers: Answers = [None] * len(nacks)
        plain = [n for n, nack in enumerate(nacks) if _is_plain_release(nack)]
        others = [n for n in range(len(nacks)) if n not in set(plain)]
        for index, answer in zip(plain, self._requeue([nacks[n].delivery for n in plain]), strict=True):
            answers[index] = answer
        for index, answer in zip(others, self._settle([nacks[n] for n in others], self._retry_of), strict=True):
            answers[index] = answer
        return answers

    def dead_letter(self, dead_letters: Sequence[DeadLetter]) -> Answers:
        """Publish the copies for the dead-letter queue and the replies, then acknowledge."""
        return self._settle(dead_letters, self._dead_copies_of)

    def extend(self, deliveries: Sequence[Delivery]) -> Answers:
        """LeaseLost for those whose channel is gone, or that are settled. There is nothing to renew."""
        found = [self._unacked(delivery) for delivery in deliveries]
        return [each if isinstance(each, LeaseLost) else None for each in found]

    def acknowledge(self, deliveries: Sequence[UnackedDelivery]) -> Answers:
        """Acknowledge; None for each that was written to its channel."""
        return self.end_on_channels(deliveries, ConsumerChannel.ack)

    def end_on_channels(self, deliveries: Sequence[UnackedDelivery], end: End) -> Answers:
        """Have `end` called on the I/O thread with each channel's deliveries; LeaseLost where it gives a reason."""
        by_channel: dict[ConsumerChannel, list[UnackedDelivery]] = defaultdict(list)
        for delivery in deliveries:
            delivery.is_settled = True
            by_channel[delivery.channel].append(delivery)
        ended: Future[dict[ConsumerChannel, BaseException | None]] = Future()

        def act() -> None:
            ended.set_result({channel: _ended(channel, ours, end) for channel, ours in by_channel.items()})

        if not self._connection.post(act):
            closed = closed_error(self._connection.where, "settle")
            return [self._lost(delivery, closed) for delivery in deliveries]
        reasons = ended.result()
        return [None if (reason := reasons[each.channel]) is None else self._lost(each, reason) for each in deliveries]

    def _settle(self, items: Sequence[Item], makes_of: Callable[[UnackedDelivery, Item], list[Make]]) -> Answers:
        answers: Answers = [None] * len(items)
        ours: dict[int, UnackedDelivery] = {}
        for n, item in enumerate(items):
            found = self._unacked(item.delivery)
            problem = found if isinstance(found, LeaseLost) else self._misfit(item)
            if problem is not None:
                answers[n] = problem
            elif isinstance(found, UnackedDelivery):
                ours[n] = found
        now = time.monotonic()
        for delivery in ours.values():
            delivery.settling_since = delivery.settling_since or now
        makes = [(n, make) for n, delivery in ours.items() for make in makes_of(delivery, items[n])]
        waiting = {n for n, _ in makes}
        self._acknowledge_some({n: each for n, each in ours.items() if n not in waiting}, answers)
        errors = self._publishing.publish([make for _, make in makes]) if makes else []
        for (n, _), error in zip(makes, errors, strict=True):
            answers[n] = answers[n] or error
        self._acknowledge_some({n: ours[n] for n in waiting if answers[n] is None}, answers)
        return answers

    def _misfit(self, item: Ack | Nack | DeadLetter) -> BrokerError | None:
        """Why a reply can't go where it should. Asked before anything of the item is published."""
        try:
            for reply in () if isinstance(item, Nack) else item.replies:
                self._roles.check(reply.queue)
        except BrokerError as error:
            return error
        return None

    def _acknowledge_some(self, deliveries: dict[int, UnackedDelivery], answers: Answers) -> None:
        if deliveries:
            for index, answer in zip(deliveries, self.acknowledge(list(deliveries.values())), strict=True):
                answers[index] = answer

    def _requeue(self, deliveries: Sequence[Delivery]) -> Answers:
        found = [self._unacked(delivery) for delivery in deliveries]
        ours = [each for each in found if isinstance(each, UnackedDelivery)]
        answers = iter(self.end_on_channels(ours, ConsumerChannel.requeue) if ours else [])
        return [each if isinstance(each, LeaseLost) else next(answers) for each in found]

    def _replies_of(self, delivery: UnackedDelivery, item: Ack | DeadLetter) -> list[Make]:
        if isinstance(item, Ack) and item.remember is not None:
            return [self._refuse_to_remember]
        return [partial(self._reply, delivery, reply) for reply in item.replies]

    def _retry_of(self, delivery: UnackedDelivery, nack: Nack) -> list[Make]:
        return [partial(self._retry, delivery, nack)]

    def _dead_copies_of(self, delivery: UnackedDelivery, dead_letter: DeadLetter) -> list[Make]:
        return [partial(self._dead_copy, delivery, dead_letter), *self._replies_of(delivery, dead_letter)]

    def _reply(self, delivery: UnackedDelivery, reply: Outgoing) -> PendingPublish:
        problem = unsupported(reply, self._connection.where)
        if problem is not None:
            raise problem
        queue = self._publishing.route(reply.queue)
        expires_s = self._reply_ttl_s if reply.expires_s is None else reply.expires_s
        # By identity: the same reply handed in twice is the same reply; another with equal fields is another.
        return _once(delivery, ("reply", id(reply)), lambda: outgoing(reply, queue=queue, expires_s=expires_s), reply)

    def _retry(self, delivery: UnackedDelivery, nack: Nack) -> PendingPublish:
        queue = self._publishing.route(delivery.queue, nack.delay_s)
        counts = ended(delivery, time.monotonic() - delivery.arrived_at + self._publishing.waits_s(nack.delay_s))
        if nack.counted:
            counts = replace(counts, attempt=counts.attempt + 1)
        make = partial(retry_copy, delivery, queue, counts, nack.history)
        return _once(delivery, ("retry", queue, nack.counted, _settlement(delivery, nack)), make, nack.history)

    def _dead_copy(self, delivery: UnackedDelivery, dead_letter: DeadLetter) -> PendingPublish:
        make = partial(dead_copy, delivery, dead_letter, now_s=self._clock.now())
        key = ("dead", dead_letter.queue, _settlement(delivery, dead_letter))
        return _once(delivery, key, make, dead_letter.history)

    def _refuse_to_remember(self) -> PendingPublish:
        raise BrokerMisconfigured(
            f"{self._connection.where}: RabbitMQ has no shared state, and an ack asks to remember something",
            hint="use a backend with the capability `state` for it",
        )

    def _unacked(self, delivery: Delivery) -> UnackedDelivery | LeaseLost:
        """The receipt of a delivery, or why it is not ours to settle."""
        receipt = delivery.receipt
        if not isinstance(receipt, UnackedDelivery):
            return LeaseLost(
                f"{self._connection.where}: delivery of {delivery.queue!r} has a receipt this backend never made",
                hint="settle deliveries with the backend that delivered them",
            )
        if receipt.is_settled:
            return LeaseLost(
                f"{self._connection.where}: {_name(receipt)} was settled or released before",
                hint="nothing was changed",
            )
        reason = receipt.channel.lost_by
        return receipt if receipt.journal_id is not None or reason is None else self._lost(receipt, reason)

    def _lost(self, delivery: UnackedDelivery, reason: BaseException) -> LeaseLost:
        timeout_ms = consumer_timeout_ms(reason)
        hint = "the broker redelivers it; steps see the same AWF_MESSAGE_ID, so that they can be idempotent"
        return LeaseLost(
            f"{self._connection.where}: {_name(delivery)} is not ours any more, its channel is gone: "
            f"{reply_text(root_cause(reason))}",
            hint=hint if timeout_ms is None else timeout_hint(timeout_ms),
        )


def _is_plain_release(nack: Nack) -> bool:
    """Whether the broker itself can requeue it: nothing is to be noted on it, and it is not acknowledged yet."""
    receipt = nack.delivery.receipt
    if nack.counted or nack.delay_s > 0 or not isinstance(receipt, UnackedDelivery):
        return False
    return receipt.journal_id is None and not receipt.is_start_noted


def _ended(channel: ConsumerChannel, deliveries: Sequence[UnackedDelivery], end: End) -> BaseException | None:
    """What became of one channel's; an error of one says nothing of what another has sent."""
    try:
        return end(channel, deliveries)
    except px.AMQPError as error:
        reason: BaseException = error
        return reason


def _once(delivery: UnackedDelivery, key: object, make: Make, cause: object) -> PendingPublish:
    """What was published before for `key` where it arrived or still may; else a new message."""
    found = delivery.published.get(key)
    if found is not None and (not found[0].is_done or found[0].error is None):
        pending: PendingPublish = found[0]
        return pending
    pending = make()
    delivery.published[key] = (pending, cause)
    return pending


def _settlement(delivery: UnackedDelivery, item: Nack | DeadLetter) -> object:
    """What is the same when a settlement is tried again, also with the next delivery of its message."""
    return id(item.history) if item.history else (delivery.tag, delivery.arrived_at)


def _name(delivery: UnackedDelivery) -> str:
    message_id = delivery.properties.message_id
    return f"delivery {message_id!r} of {delivery.queue!r}" if message_id else f"a delivery of {delivery.queue!r}"
